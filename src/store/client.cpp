// The client: queue, routing, retries, hedges and counters over the transports.
#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "store/budget.hpp"
#include "store/hedge.hpp"
#include "store/http_answer.hpp"
#include "store/options.hpp"
#include "store/pace.hpp"
#include "store/task.hpp"

namespace faro::store {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How often requests in flight are looked at for slow ones and for deadlines.
constexpr milliseconds watch_interval{10};
// Over how long it is told whether this thread is the limit.
constexpr milliseconds rest_interval{100};
constexpr milliseconds longest_sleep{500};
// Who did not drive the client for this long was suspended, or elsewhere: the deadlines wait.
constexpr milliseconds absence{2000};
// A broken attempt that brought this many bytes does not count against the limit.
constexpr std::uint64_t progress = 64 * 1024;
// Tokens for a first attempt after so many failures in a row: as for a broken connection.
constexpr double probe_cost = 10;
constexpr unsigned probe_after = 8;
// What failed in an outage of this many seconds was not its own fault.
constexpr double long_outage = 1.0;

void check_read(const Request& request) {
  if (scheme_of(request.uri) == Scheme::other) fail_scheme(request.uri);
  const auto [offset, length] = request.range;
  static_cast<void>(checked_add(offset, length, ErrorCode::invalid_argument));
  check(request.into != nullptr, ErrorCode::invalid_argument, "{}: no memory to read into",
        redacted(request.uri));
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

Clock::duration seconds(double value) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
}

}  // namespace

struct Client::Impl {
  explicit Impl(const Options& given)
      : options(given),
        pace(given.max_requests),
        budget(given.ranks, Clock::now()),
        backoff(given.backoff),
        pressure(given.pressure ? given.pressure : std::make_shared<Pressure>()),
        pressure_seen(pressure->mark()),
        http(make_http_transport(options)),
        // A file read that ends also ends a sleep in the http transport: see drive().
        file(make_file_transport(options, [this] { http->wake(); })) {}

  void add(Attempt attempt) {
    const auto scheme = scheme_of(attempt.uri());
    auto task = std::make_unique<Task>();
    task->attempt = std::move(attempt);
    task->scheme = scheme;
    task->whole = task->attempt.request.range;
    (scheme == Scheme::file ? file_queue : queue).push_back(task.get());
    tasks.emplace(&task->attempt, std::move(task));
  }

  // Starts what may start: retries that are due, then the queue, first come first served.
  void launch(std::vector<Completion>& done) {
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

  void start(Task& task) {
    ++task.sent;
    ++counters.requests;
    task.started = Clock::now();
    if (!task.begun) task.begun = task.started;
    task.running = true;
    running.insert(&task);
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

  void stop(Task& task) {
    task.running = false;
    running.erase(&task);
  }

  // Sleeps in the transport that is in use. Where both are, in http's, which a finished file read
  // wakes.
  void drive(milliseconds timeout) {
    results.clear();
    if (active == 0) {
      file->poll(results, timeout);
      return;
    }
    if (file_active > 0) file->poll(results, milliseconds(0));
    http->poll(results, results.empty() ? timeout : milliseconds(0));
  }

  void settle(std::vector<Completion>& done) {
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

  // This thread is the limit where it has next to no rest: more requests in flight would only wait
  // for it.
  void look_for_rest(Clock::time_point now) {
    if (now - rest_since < rest_interval) return;
    busy = http->slept() - rested < (now - rest_since) / 10;
    rested = http->slept();
    rest_since = now;
  }

  void succeeded(Task& task, Result& result, bool by_hedge, std::vector<Completion>& done) {
    const auto now = Clock::now();
    if (task.scheme != Scheme::file) {
      answered(now);
      budget.refund();
      const auto bytes = task.attempt.kind == Attempt::Kind::read ? result.received : 1;
      look_for_rest(now);
      pace.finished(now, bytes, result.seconds, result.first_byte, queue.empty() || busy);
      if (task.attempt.kind == Attempt::Kind::read) hedging.finished(bytes, result.seconds);
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

  // Ends the slower of two.
  void drop_rival(Task& task, bool won_by_hedge) {
    if (won_by_hedge ? !task.running : task.hedge == nullptr) return;
    const Attempt& rival = won_by_hedge ? task.attempt : *task.hedge;
    counters.wasted_bytes += http->cancel(rival);
    --active;
    if (!won_by_hedge) hedges.erase(&rival);
    stop(task);
  }

  void finish(Task& task, Completion completion, std::vector<Completion>& done) {
    completion.attempts = task.sent;
    done.push_back(std::move(completion));
    tasks.erase(&task.attempt);
  }

  void failed(Task& task, Result& result, bool by_hedge, std::vector<Completion>& done) {
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

  // Whether the attempt counts against the limit. While the store answers nobody its outage has a
  // deadline, and a store that throttles may take its time. Where nothing has been answered since
  // the attempt began, what comes until the next one decides: see launch().
  [[nodiscard]] bool counts(Task& task, const Treatment& treatment) const {
    if (!treatment.outage) return true;
    if (task.last->cause == Cause::throttled) return false;
    task.doubtful = outage.since().has_value();
    return !task.doubtful;
  }

  // The store answers. After an outage all that waits comes back at once, as many at a time as pace
  // allows: the budget, which the outage has emptied, would hold them up long after it.
  void answered(Clock::time_point now) {
    const auto since = outage.since();
    outage.answered(now);
    if (!since || now - *since < seconds(long_outage)) return;
    std::multimap<Clock::time_point, Task*> back;
    for (const auto& [due, task] : waiting) {
      task->pardoned = true;
      back.emplace_hint(back.end(), now, task);
    }
    waiting.swap(back);
  }

  void note_trouble(const Failure& failure, Clock::time_point begun, Clock::time_point now) {
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

  // What a broken answer brought of the right object stays; the next attempt asks for the rest.
  std::uint64_t keep(Task& task, const Result& result) {
    if (task.attempt.kind != Attempt::Kind::read) return 0;
    Request& request = task.attempt.request;
    auto kept = result.kept;
    // Without a strong ETag the rest might be another object's.
    if (kept > 0 && !request.expect && is_strong_etag(result.info.etag)) {
      request.expect = result.info;
    }
    if (!request.expect || !is_strong_etag(request.expect->etag) || task.raced) kept = 0;
    counters.bytes += kept;
    counters.wasted_bytes += result.received - kept;
    if (kept == 0) return 0;
    task.crc32c = crc32c_combine(task.crc32c, result.crc32c, kept);
    task.reached += kept;
    request.into += kept;
    request.range = {request.range.offset + kept, request.range.length - kept};
    return kept;
  }

  void give_up(Task& task, const std::string& why, std::vector<Completion>& done) {
    Completion completion;
    completion.id = task.attempt.request.id;
    completion.error = final_error(task.original(), *task.last, task.sent, why);
    finish(task, std::move(completion), done);
  }

  // What the store could not show while nobody looked is not held against it.
  void note_absence() {
    const auto now = Clock::now();
    if (const auto away = now - seen; away > absence) {
      outage.postpone(away);
      for (const auto& [attempt, task] : tasks) {
        if (task->begun) *task->begun += away;
      }
    }
    seen = now;
  }

  // Slow requests are raced; those past a deadline end; other ranks' throttlings are heeded.
  void watch(std::vector<Completion>& done) {
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

  void race_slow_ones(Clock::time_point now) {
    if (!hedging.allowed() || outage.since()) return;
    // Requests that wait for this thread are no faster on another connection.
    const double slack = busy ? 2 : 1;
    std::vector<std::pair<double, Task*>> slow;
    for (Task* task : running) {
      if (task->hedge || task->scheme == Scheme::file ||
          task->attempt.kind != Attempt::Kind::read) {
        continue;
      }
      const auto patience = hedging.patience(task->attempt.request.range.length);
      const double late = seconds_between(task->started, now) - slack * patience.value_or(1e9);
      if (late > 0) slow.emplace_back(late, task);
    }
    std::sort(slow.rbegin(), slow.rend());
    for (const auto& [late, task] : slow) {
      if (!hedging.allowed()) return;
      race(*task, now);
    }
  }

  void race(Task& task, Clock::time_point now) {
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

  void end_late_ones(Clock::time_point now, std::vector<Completion>& done) {
    const auto since = outage.since();
    const bool down = since && now - *since >= seconds(options.outage_deadline);
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
    for (Task* task : running) look(task);
    for (const auto& [due, task] : waiting) look(task);
    for (auto& [task, why] : late) {
      drop_attempts(*task);
      give_up(*task, why, done);
    }
    if (down) end_outage(*since, now, done);
  }

  // The store is given up: what was not tried yet ends as the others did. What comes later may try.
  void end_outage(Clock::time_point since, Clock::time_point now, std::vector<Completion>& done) {
    outage.reset();
    for (; !queue.empty(); queue.pop_front()) {
      queue.front()->last = trouble;
      give_up(*queue.front(), silence(since, now), done);
    }
  }

  static std::string silence(Clock::time_point since, Clock::time_point now) {
    return fmt::format("; the store has answered nothing for {:.0f} s",
                       seconds_between(since, now));
  }

  void drop_attempts(Task& task) {
    if (task.running) {  // and not a file's: see end_late_ones()
      counters.wasted_bytes += http->cancel(task.attempt);
      --active;
      stop(task);
    }
    if (task.hedge) {
      counters.wasted_bytes += http->cancel(*task.hedge);
      hedges.erase(task.hedge.get());
      --active;
    }
    std::erase_if(waiting, [&](const auto& entry) { return entry.second == &task; });
  }

  // How long drive() may sleep: until the deadline, the next retry that there is room for, or the
  // next look at what is slow.
  [[nodiscard]] milliseconds sleep_time(Clock::time_point deadline) const {
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

  const Options options;
  Pace pace;
  Hedging hedging;
  RetryBudget budget;
  Backoff backoff;
  Outage outage;
  std::optional<Failure> trouble;  // the last sign of one
  std::shared_ptr<Pressure> pressure;
  std::uint64_t pressure_seen;
  Counters counters;
  std::unordered_map<const Attempt*, std::unique_ptr<Task>> tasks;
  std::unordered_map<const Attempt*, Task*> hedges;
  std::unordered_set<Task*> running;  // their `attempt` is with a transport
  std::deque<Task*> queue;
  std::deque<Task*> file_queue;
  std::multimap<Clock::time_point, Task*> waiting;
  std::vector<Completion> ready;  // what needed no request
  std::vector<Result> results;
  std::size_t active = 0;  // of http, hedges included
  std::size_t file_active = 0;
  Clock::time_point next_watch{};
  bool busy = false;  // in the last interval
  Clock::time_point rest_since = Clock::now();
  Clock::duration rested{};
  Clock::time_point seen = Clock::now();  // when it was last driven
  std::atomic<bool> woken = false;
  // Last, so that they are destroyed first: they refer to the tasks, and the file transport's
  // threads to the http transport.
  std::unique_ptr<RemoteTransport> http;
  std::unique_ptr<Transport> file;
};

Client::Client(const Options& options) {
  check_options(options);
  impl_ = std::make_unique<Impl>(options);
}

Client::~Client() = default;

void Client::read(Request request) {
  Completion completion;
  completion.id = request.id;
  completion.attempts = 0;
  try {
    if (request.range.length > 0) {
      check_read(request);
      Attempt attempt;
      attempt.request = std::move(request);
      impl_->add(std::move(attempt));
      return;
    }
  } catch (const Error& error) {
    completion.error = error;
  }
  impl_->ready.push_back(std::move(completion));
}

void Client::stat(std::uint64_t id, std::string uri) {
  try {
    if (scheme_of(uri) == Scheme::other) fail_scheme(uri);
    Attempt attempt;
    attempt.kind = Attempt::Kind::stat;
    attempt.request.id = id;
    attempt.request.uri = std::move(uri);
    impl_->add(std::move(attempt));
  } catch (const Error& error) {
    Completion completion;
    completion.id = id;
    completion.error = error;
    completion.attempts = 0;
    impl_->ready.push_back(std::move(completion));
  }
}

void Client::call(std::uint64_t id, Call call) {
  check(scheme_of(call.uri) == Scheme::s3, ErrorCode::internal, "a call of {}, which is no s3://",
        redacted(call.uri));
  Attempt attempt;
  attempt.kind = Attempt::Kind::call;
  attempt.request.id = id;
  attempt.call = std::move(call);
  impl_->add(std::move(attempt));
}

std::uint64_t Client::part_size(std::uint64_t largest, std::uint64_t room) const {
  return impl_->pace.part_size(largest, room);
}

std::size_t Client::peak_requests() const noexcept {
  return impl_->pace.peak();
}

void Client::poll(std::vector<Completion>& done, milliseconds timeout) {
  Impl& impl = *impl_;
  constexpr milliseconds longest = std::chrono::hours(1);  // the sums below stay small
  const auto deadline = Clock::now() + std::min(timeout, longest);
  const auto before = done.size();
  std::move(impl.ready.begin(), impl.ready.end(), std::back_inserter(done));
  impl.ready.clear();
  while (true) {
    impl.note_absence();
    impl.launch(done);
    const bool sleep = done.size() == before && !impl.tasks.empty() && !impl.woken;
    impl.drive(sleep ? impl.sleep_time(deadline) : milliseconds(0));
    impl.settle(done);
    impl.watch(done);
    if (done.size() > before || impl.tasks.empty() || impl.woken) break;
    if (Clock::now() >= deadline) break;
  }
  impl.woken = false;
  impl.note_absence();
  impl.launch(done);  // the transports work on while the caller handles what is done
}

void Client::wake() {
  impl_->woken = true;
  impl_->file->wake();
  impl_->http->wake();
}

std::size_t Client::pending() const noexcept {
  return impl_->tasks.size() + impl_->ready.size();
}

const Counters& Client::counters() const noexcept {
  return impl_->counters;
}

}  // namespace faro::store
