#include "store/requests.hpp"

#include <algorithm>

namespace faro::store {

void Requests::watch(std::vector<Completion>& done) {
  const auto now = Clock::now();
  if (now < next_watch) return;
  next_watch = now + watch_interval;
  if (const auto mark = pressure->mark(); mark > pressure_seen) {
    pressure_seen = mark;
    pace.throttled(now);
  }
  if (options.hedge) race_slow_ones(now);
  end_late_ones(now, done);
}

void Requests::race_slow_ones(Clock::time_point now) {
  if (!hedging.allowed() || outage.since()) return;
  // Requests that wait for this thread are no faster on another connection.
  const double slack = busy ? 2 : 1;
  const bool pressing = queue.empty() && waiting.empty() && 2 * active < pace.level();
  std::vector<std::pair<double, Task*>> slow;
  for (const auto& [number, task] : running) {
    if (task->scheme == Scheme::file || task->attempt.kind != Attempt::Kind::read) continue;
    // A second one may be slow, too: another takes its place.
    const auto since = task->hedge ? task->hedge_started : task->started;
    const auto length = task->attempt.request.range.length;
    const auto patience = http->answers(task->hedge ? *task->hedge : task->attempt)
                              ? hedging.patience(length, pressing)
                              : hedging.first_patience(length, pressing);
    const double late = seconds_between(since, now) - slack * patience.value_or(1e9);
    if (late > 0) slow.emplace_back(late, task);
  }
  std::stable_sort(slow.begin(), slow.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [late, task] : slow) {
    if (!hedging.allowed()) return;
    race(*task, now);
  }
}

void Requests::race(Task& task, Clock::time_point now) {
  if (task.hedge) cancel_hedge(task);
  task.hedge = std::make_unique<Attempt>(task.attempt);
  task.hedge->fresh = true;
  task.hedge_started = now;
  task.raced = true;
  hedges.emplace(task.hedge.get(), &task);
  hedging.hedged();
  ++counters.requests;
  ++counters.hedges;
  ++active;
  http->start(*task.hedge);
}

void Requests::drop_rival(Task& task, bool won_by_hedge) {
  if (won_by_hedge) {
    if (task.running) cancel(task);
  } else if (task.hedge) {
    cancel_hedge(task);
  }
}

void Requests::cancel(Task& task) {
  counters.wasted_bytes += http->cancel(task.attempt);
  --active;
  stop(task);
}

void Requests::cancel_hedge(Task& task) {
  counters.wasted_bytes += http->cancel(*task.hedge);
  --active;
  hedges.erase(task.hedge.get());
  task.hedge.reset();
}

}  // namespace faro::store
