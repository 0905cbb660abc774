// Time and threads of a simulation.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "fiber.hpp"
#include "random.hpp"

namespace faro::sim {

/// A failed simulation: prints what and how to repeat it, and ends the process, as threads that are
/// stuck cannot be unwound.
[[noreturn]] void fail(const std::string& what);
/// What is being run, for fail().
void context(const std::string& what);
/// How to repeat it.
void repeat_by(const std::string& command);

/// Threads of which one runs at a time: the one whose turn comes first in virtual time. A turn
/// ends where a thread yields, sleeps or ends; how long it took, and when a sleeper wakes, is drawn
/// from the seed. So one seed is one run, and another seed another interleaving. Nobody's turn
/// coming is a deadlock; going on for too long is one of its kinds.
class Scheduler final : public Runtime {
 public:
  /// How fast a rank is.
  struct Pace {
    double slowness = 1;  // of each turn
    double stalls = 0;    // chance of a turn to take up to 3 ms
    // It does nothing; for ever: until all other ranks are gone.
    Clock::time_point frozen_from = Clock::time_point::max();
    Clock::time_point frozen_until = Clock::time_point::max();
  };
  Scheduler(std::uint64_t seed, std::vector<Pace> ranks);
  ~Scheduler() override = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Runs `work` once for each rank, each in a thread, and returns when all have ended.
  void run(const std::function<void(int rank)>& work);
  /// The calling thread's rank does something else for so long.
  void pause(Clock::duration time);
  /// A rank does nothing from then on, for so long, or for ever.
  void freeze(int rank, Clock::time_point from, std::optional<Clock::duration> time);
  /// If it was to die, it does not any more.
  void live_on(int rank);
  /// The calling thread's.
  [[nodiscard]] int rank() const { return current_->rank; }
  [[nodiscard]] Random& random() { return random_; }
  /// Of all turns so far.
  [[nodiscard]] std::uint64_t trace() const { return trace_; }
  [[nodiscard]] std::uint64_t turns() const { return turns_; }
  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(now_ - Clock::time_point(begin)).count();
  }

  TimePoint now() override { return now_; }
  std::uint64_t entropy() override { return random_.next(); }
  void yield() override;
  void sleep(const void* condition, const char* what, std::unique_lock<std::mutex>& lock,
             TimePoint until) override;
  void wake(const void* condition) override;
  std::function<void()> start(const char* name, std::function<void()> work) override;

  static constexpr Clock::duration begin = std::chrono::hours(1);  // no time is zero

 private:
  struct SimThread {
    std::string name;
    int rank = 0;
    TimePoint due;
    const void* condition = nullptr;
    const char* what = "its turn";
    bool ended = false;
    std::unique_ptr<Fiber> fiber;
  };
  SimThread* add(int rank, const std::string& name, std::function<void()> work);
  /// Its end, or a while.
  void await(SimThread* thread);
  void join(SimThread* thread);
  void end();
  void hand_over();
  SimThread* next();
  /// How long a turn of a rank takes.
  Clock::duration cost(int rank);
  [[noreturn]] void stuck(const char* why);

  Random random_;
  std::vector<Pace> ranks_;
  TimePoint now_{begin};
  std::list<SimThread> threads_;
  SimThread* current_ = nullptr;
  std::uint64_t trace_ = 0;
  std::uint64_t turns_ = 0;
};

}  // namespace faro::sim
