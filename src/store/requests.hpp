// Internal to store/: what a client works on. All its requests over all their attempts: what is
// queued, in flight, or waits, and the policies that decide which is which.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <unordered_map>

#include "store/budget.hpp"
#include "store/clock.hpp"
#include "store/hedge.hpp"
#include "store/pace.hpp"
#include "store/task.hpp"

namespace faro::store {

/// One thread uses it, but for `woken`.
struct Requests {
  // How often requests in flight are looked at for slow ones and for deadlines.
  static constexpr milliseconds watch_interval{10};

  // requests.cpp: the way of a request that ends well.

  explicit Requests(const Options& given);
  void add(Attempt attempt);
  // Starts what may start: retries that are due, then the queue, first come first served.
  void launch(std::vector<Completion>& done);
  void start(Task& task);
  void stop(Task& task);
  // Sleeps in the transport that is in use. Where both are, in http's, which a finished file read
  // wakes.
  void drive(milliseconds timeout);
  void settle(std::vector<Completion>& done);
  // This thread is the limit where it has next to no rest: more requests in flight would only wait
  // for it.
  void look_for_rest(Clock::time_point now);
  void succeeded(Task& task, Result& result, bool by_hedge, std::vector<Completion>& done);
  void finish(Task& task, Completion completion, std::vector<Completion>& done);
  // How long drive() may sleep: until the deadline, the next retry that there is room for, or the
  // next look at what is slow.
  [[nodiscard]] milliseconds sleep_time(Clock::time_point deadline) const;

  // requests_races.cpp: second attempts.

  // Slow requests are raced; those past a deadline end; other ranks' throttlings are heeded.
  void watch(std::vector<Completion>& done);
  void race_slow_ones(Clock::time_point now);
  void race(Task& task, Clock::time_point now);
  // Ends the slower of two.
  void drop_rival(Task& task, bool won_by_hedge);
  void cancel(Task& task);
  void cancel_hedge(Task& task);

  // requests_failures.cpp: what becomes of an attempt that failed, and of all of them in an outage.

  void failed(Task& task, Result& result, bool by_hedge, std::vector<Completion>& done);
  // Whether the attempt counts against the limit. While the store answers nobody its outage has a
  // deadline, and a store that throttles may take its time. Where nothing has been answered since
  // the attempt began, what comes until the next one decides: see launch().
  [[nodiscard]] bool counts(Task& task, const Treatment& treatment) const;
  // The store answers. After an outage all that waits comes back at once, as many at a time as pace
  // allows: the budget, which the outage has emptied, would hold them up long after it.
  void answered(Clock::time_point now);
  void note_trouble(const Failure& failure, Clock::time_point begun, Clock::time_point now);
  // What a broken answer brought of the right object stays; the next attempt asks for the rest.
  std::uint64_t keep(Task& task, const Result& result);
  void give_up(Task& task, const std::string& why, std::vector<Completion>& done);
  // What the store could not show while nobody looked is not held against it.
  void note_absence();
  void end_late_ones(Clock::time_point now, std::vector<Completion>& done);
  // The store is given up: what was not tried yet ends as the others did. What comes later may try.
  void end_outage(Clock::time_point since, Clock::time_point now, std::vector<Completion>& done);
  static std::string silence(Clock::time_point since, Clock::time_point now);
  // Says once that an outage is waited out.
  void tell_of_outage(Clock::time_point since, Clock::time_point now);
  void drop_attempts(Task& task);

  const Options options;
  Pace pace;
  Hedging hedging;
  RetryBudget budget;
  Backoff backoff;
  Outage outage;
  std::optional<Failure> trouble;  // the last sign of one
  bool told_of_outage = false;
  std::shared_ptr<Pressure> pressure;
  std::uint64_t pressure_seen;
  Counters counters;
  std::unordered_map<const Attempt*, std::unique_ptr<Task>> tasks;
  std::unordered_map<const Attempt*, Task*> hedges;
  std::map<std::uint64_t, Task*> running;  // their `attempt` is with a transport
  std::uint64_t next_number = 0;
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

}  // namespace faro::store
