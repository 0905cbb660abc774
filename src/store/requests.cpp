#include "store/requests.hpp"

#include <algorithm>

#include "base/crc32c.hpp"
#include "base/error.hpp"

namespace faro::store {
namespace {

// Over how long it is told whether this thread is the limit.
constexpr milliseconds rest_interval{100};
constexpr milliseconds longest_sleep{500};
// Tokens for a first attempt after so many failures in a row: as for a broken connection.
constexpr double probe_cost = 10;
constexpr unsigned probe_after = 8;

}  // namespace

Requests::Requests(const Options& given)
    : options(given),
      pace(given.max_requests),
      budget(given.ranks, Clock::now()),
      backoff(given.backoff),
      pressure(given.pressure ? given.pressure : std::make_shared<Pressure>()),
      pressure_seen(pressure->mark()),
      http(options.transports ? options.transports->remote(options)
                              : make_http_transport(options)) {
  // A file read that ends also ends a sleep in the http transport: see drive().
  const auto notify = [this] { http->wake(); };
  file = options.transports ? options.transports->file(options, notify)
                            : make_file_transport(options, notify);
}

void Requests::add(Attempt attempt) {
  const auto scheme = scheme_of(attempt.uri());
  auto task = std::make_unique<Task>();
  task->number = next_number++;
  task->attempt = std::move(attempt);
  task->scheme = scheme;
  task->whole = task->attempt.request.range;
  (scheme == Scheme::file ? file_queue : queue).push_back(task.get());
  tasks.emplace(&task->attempt, std::move(task));
}

void Requests::launch(std::vector<Completion>& done) {
  for (; file_active < options.max_requests && !file_queue.empty(); file_queue.pop_front()) {
    start(*file_queue.front());
  }
  const auto now = Clock::now();
  while (active < pace.level()) {
    if (!waiting.empty() && waiting.begin()->first <= now) {
      Task& task = *waiting.begin()->second;
      waiting.erase(waiting.begin());
      if (task.doubtful && !task.pardoned && !outage.since()) ++task.wrong;
      task.doubtful = false;
      if (task.wrong >= options.attempts) {
        give_up(task, "", done);
        continue;
      }
      const auto treatment = treatment_of(task.last->cause);
      const double cost = task.pardoned ? 0 : treatment.cost;
      if (const auto wait = budget.take(cost, now); wait > Clock::duration::zero()) {
        waiting.emplace(now + wait, &task);
        continue;
      }
      task.pardoned = false;
      ++counters.retries;
      ++counters.retries_by[static_cast<std::size_t>(treatment.reported)];
      start(task);
    } else if (!queue.empty()) {
      // A store that answers nobody is not asked by new requests either, beyond the budget.
      if (outage.failures() >= probe_after &&
          budget.take(probe_cost, now) > Clock::duration::zero()) {
        return;
      }
      Task& task = *queue.front();
      queue.pop_front();
      start(task);
    } else {
      return;
    }
  }
}

void Requests::start(Task& task) {
  ++task.sent;
  ++counters.requests;
  task.started = Clock::now();
  if (!task.begun) task.begun = task.started;
  task.running = true;
  running.emplace(task.number, &task);
  if (task.scheme == Scheme::file) {
    ++file_active;
    file->start(task.attempt);
    return;
  }
  ++active;
  pace.started(task.started, active);
  hedging.started();
  http->start(task.attempt);
}

void Requests::stop(Task& task) {
  task.running = false;
  running.erase(task.number);
}

void Requests::drive(milliseconds timeout) {
  results.clear();
  if (active == 0) {
    file->poll(results, timeout);
    return;
  }
  if (file_active > 0) file->poll(results, milliseconds(0));
  http->poll(results, results.empty() ? timeout : milliseconds(0));
}

void Requests::settle(std::vector<Completion>& done) {
  for (auto& result : results) {
    const auto hedge = hedges.find(result.attempt);
    const auto found = tasks.find(result.attempt);
    if (hedge == hedges.end() && found == tasks.end()) {  // its rival came in the same turn
      counters.wasted_bytes += result.received;
      continue;
    }
    const bool is_hedge = hedge != hedges.end();
    Task& task = is_hedge ? *hedge->second : *found->second;
    --(task.scheme == Scheme::file ? file_active : active);
    counters.requests += result.extra_requests;
    if (is_hedge) {
      hedges.erase(hedge);
    } else {
      stop(task);
    }
    if (result.failure) {
      failed(task, result, is_hedge, done);
    } else {
      succeeded(task, result, is_hedge, done);
    }
  }
}

void Requests::look_for_rest(Clock::time_point now) {
  if (now - rest_since < rest_interval) return;
  busy = http->slept() - rested < (now - rest_since) / 10;
  rested = http->slept();
  rest_since = now;
}

void Requests::succeeded(Task& task, Result& result, bool by_hedge, std::vector<Completion>& done) {
  const auto now = Clock::now();
  if (task.scheme != Scheme::file) {
    answered(now);
    budget.refund();
    const auto bytes = task.attempt.kind == Attempt::Kind::read ? result.received : 1;
    look_for_rest(now);
    pace.finished(now, bytes, result.seconds, result.first_byte, queue.empty() || busy);
    if (task.attempt.kind == Attempt::Kind::read) {
      hedging.finished(bytes, result.seconds, result.first_byte);
    }
  }
  if (by_hedge) ++counters.hedges_won;
  drop_rival(task, by_hedge);
  Completion completion;
  completion.id = task.attempt.request.id;
  completion.info = std::move(result.info);
  completion.text = std::move(result.text);
  if (task.attempt.kind == Attempt::Kind::read) {
    counters.bytes += result.received;
    // What two attempts wrote at once is judged by what is there.
    const Request& request = task.attempt.request;
    const auto crc = task.raced ? crc32c({request.into, request.range.length}) : result.crc32c;
    completion.crc32c = crc32c_combine(task.crc32c, crc, request.range.length);
  }
  finish(task, std::move(completion), done);
}

void Requests::finish(Task& task, Completion completion, std::vector<Completion>& done) {
  completion.attempts = task.sent;
  done.push_back(std::move(completion));
  tasks.erase(&task.attempt);
}

milliseconds Requests::sleep_time(Clock::time_point deadline) const {
  auto until = deadline;
  if (!waiting.empty() && active < pace.level()) {
    until = std::min(until, waiting.begin()->first);
  }
  const bool watchful = outage.failures() > 0 || !waiting.empty() ||
                        (active > 0 && options.hedge && hedging.allowed());
  const auto look = watchful ? watch_interval : longest_sleep;
  if (!tasks.empty()) until = std::min(until, Clock::now() + look);
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(until - Clock::now()));
}

}  // namespace faro::store
