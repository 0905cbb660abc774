#include "store/requests.hpp"

#include <algorithm>
#include <utility>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "store/http_answer.hpp"

namespace faro::store {
namespace {

// Who did not drive the client for this long was suspended, or elsewhere: the deadlines wait.
constexpr milliseconds absence{2000};
// A broken attempt that brought this many bytes does not count against the limit.
constexpr std::uint64_t progress = 64 * 1024;
// What failed in an outage of this many seconds was not its own fault.
constexpr double long_outage = 1.0;
// Who waits for the job wants to know why from then on.
constexpr double worth_telling = 5.0;

}  // namespace

void Requests::failed(Task& task, Result& result, bool by_hedge, std::vector<Completion>& done) {
  const auto now = Clock::now();
  const auto treatment = treatment_of(result.failure->cause);
  const auto begun = by_hedge ? task.hedge_started : task.started;
  if (by_hedge) task.hedge.reset();
  if (treatment.outage && result.kept == 0) {
    note_trouble(*result.failure, begun, now);
  } else if (task.scheme != Scheme::file) {
    answered(now);
  }
  if (task.running || task.hedge) {  // its rival goes on
    counters.wasted_bytes += result.received;
    return;
  }
  const auto kept = keep(task, result);
  task.last = std::move(*result.failure);
  if (kept < progress && counts(task, treatment)) ++task.wrong;
  if (!treatment.retried || task.wrong >= options.attempts) {
    give_up(task, "", done);
    return;
  }
  task.in_vain = kept < progress ? task.in_vain + 1 : 0;
  // All whom the store asks to wait would come back at once without the jitter.
  const auto wait = backoff.wait(task.in_vain) + seconds(task.last->retry_after);
  waiting.emplace(now + wait, &task);
  // A connection that broke, or hung, is not used again.
  task.attempt.fresh = treatment.outage && task.last->cause != Cause::throttled;
}

bool Requests::counts(Task& task, const Treatment& treatment) const {
  if (!treatment.outage) return true;
  if (task.last->cause == Cause::throttled) return false;
  task.doubtful = outage.since().has_value();
  return !task.doubtful;
}

void Requests::answered(Clock::time_point now) {
  const auto since = outage.since();
  outage.answered(now);
  if (std::exchange(told_of_outage, false)) {
    options.notice(
        fmt::format("the store answers again, after {:.0f} s", seconds_between(*since, now)));
  }
  if (!since || now - *since < seconds(long_outage)) return;
  std::multimap<Clock::time_point, Task*> back;
  for (const auto& [due, task] : waiting) {
    task->pardoned = true;
    back.emplace_hint(back.end(), now, task);
  }
  waiting.swap(back);
}

void Requests::note_trouble(const Failure& failure, Clock::time_point begun,
                            Clock::time_point now) {
  outage.failed(begun);
  trouble = failure;
  const auto cause = failure.cause;
  if (cause == Cause::throttled) {
    pressure_seen = pressure->throttled();
    pace.throttled(now);
  } else if (outage.since()) {
    pace.throttled(now);
  }
}

std::uint64_t Requests::keep(Task& task, const Result& result) {
  if (task.attempt.kind != Attempt::Kind::read) return 0;
  Request& request = task.attempt.request;
  auto kept = result.kept;
  // Without a strong ETag the rest might be another object's; a size of 0 was not told.
  if (kept > 0 && !request.expect && is_strong_etag(result.info.etag) && result.info.size > 0) {
    request.expect = result.info;
  }
  if (!request.expect || !is_strong_etag(request.expect->etag) || task.raced) kept = 0;
  counters.bytes += kept;
  counters.wasted_bytes += result.received - kept;
  if (kept == 0) return 0;
  task.crc32c = crc32c_combine(task.crc32c, result.crc32c, kept);
  request.into += kept;
  request.range = {request.range.offset + kept, request.range.length - kept};
  return kept;
}

void Requests::give_up(Task& task, const std::string& why, std::vector<Completion>& done) {
  Completion completion;
  completion.id = task.attempt.request.id;
  completion.error = final_error(task.original(), *task.last, task.sent, why);
  finish(task, std::move(completion), done);
}

void Requests::note_absence() {
  const auto now = Clock::now();
  if (const auto away = now - seen; away > absence) {
    outage.postpone(away);
    for (const auto& [attempt, task] : tasks) {
      if (task->begun) *task->begun += away;
    }
  }
  seen = now;
}

void Requests::end_late_ones(Clock::time_point now, std::vector<Completion>& done) {
  const auto since = outage.since();
  const bool down = since && now - *since >= seconds(options.outage_deadline);
  if (since && !down) tell_of_outage(*since, now);
  std::vector<std::pair<Task*, std::string>> late;
  const auto look = [&](Task* task) {
    if (task->scheme == Scheme::file) return;  // nothing cancels those
    if (down && task->last) {
      late.emplace_back(task, silence(*since, now));
    } else if (now - *task->begun >= seconds(options.request_deadline)) {
      if (!task->last) task->last = Failure{Cause::timeout, "its first try has not ended"};
      late.emplace_back(task, fmt::format(" in {} s, its deadline", options.request_deadline));
    }
  };
  for (const auto& [number, task] : running) look(task);
  for (const auto& [due, task] : waiting) look(task);
  for (auto& [task, why] : late) {
    drop_attempts(*task);
    give_up(*task, why, done);
  }
  if (down) end_outage(*since, now, done);
}

void Requests::end_outage(Clock::time_point since, Clock::time_point now,
                          std::vector<Completion>& done) {
  outage.reset();
  told_of_outage = false;
  for (; !queue.empty(); queue.pop_front()) {
    queue.front()->last = trouble;
    give_up(*queue.front(), silence(since, now), done);
  }
}

std::string Requests::silence(Clock::time_point since, Clock::time_point now) {
  return fmt::format("; the store has answered nothing for {:.0f} s", seconds_between(since, now));
}

void Requests::tell_of_outage(Clock::time_point since, Clock::time_point now) {
  if (told_of_outage || !options.notice || now - since < seconds(worth_telling)) return;
  told_of_outage = true;
  options.notice(fmt::format(
      "the store has answered nothing for {:.0f} s; it is asked again until {:.0f} s have passed "
      "(outage_deadline): {}",
      seconds_between(since, now), options.outage_deadline, trouble->text));
}

void Requests::drop_attempts(Task& task) {
  if (task.running) cancel(task);  // and not a file's: see end_late_ones()
  if (task.hedge) cancel_hedge(task);
  std::erase_if(waiting, [&](const auto& entry) { return entry.second == &task; });
}

}  // namespace faro::store
