// The seam of time and threads. What waits, sleeps, starts a thread, asks for the time or draws
// chance by these is driven by a simulation just as well as by the machine.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace faro {

/// What a simulation puts in the place of the machine's clock and scheduler. Its threads carry it
/// as runtime(); everywhere else that is nullptr, and the machine's own are used.
class Runtime {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  virtual ~Runtime() = default;
  [[nodiscard]] virtual TimePoint now() = 0;
  [[nodiscard]] virtual std::uint64_t entropy() = 0;
  /// Lets other threads run.
  virtual void yield() = 0;
  /// Unlocks, sleeps until wake(condition) or `until`, and locks again.
  virtual void sleep(const void* condition, const char* what, std::unique_lock<std::mutex>& lock,
                     TimePoint until) = 0;
  virtual void wake(const void* condition) = 0;
  /// Starts a thread; what is returned waits for its end.
  virtual std::function<void()> start(const char* name, std::function<void()> work) = 0;
};

/// Of the calling thread.
[[nodiscard]] Runtime*& runtime() noexcept;

/// The steady clock.
struct Clock {
  using duration = std::chrono::steady_clock::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr bool is_steady = true;
  [[nodiscard]] static time_point now() {
    auto* simulated = runtime();
    return simulated != nullptr ? simulated->now() : std::chrono::steady_clock::now();
  }
};

[[nodiscard]] inline double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}
[[nodiscard]] inline double seconds_since(Clock::time_point start) {
  return seconds_between(start, Clock::now());
}

/// A seed that is different each time, but for a simulation's.
[[nodiscard]] std::uint64_t entropy();

/// std::this_thread::yield.
void yield();

/// The calling thread's sleeps end when they should; Linux's are 50 us longer by default.
void sleep_sharply() noexcept;

/// std::condition_variable, of one kind of change.
class Condition {
 public:
  /// \param what is waited for, in words; must outlive the condition
  explicit Condition(const char* what) : what_(what) {}

  void notify_all();
  template <class Done>
  void wait(std::unique_lock<std::mutex>& lock, Done done) {
    while (!done()) sleep(lock, Clock::time_point::max());
  }
  template <class Done>
  bool wait_until(std::unique_lock<std::mutex>& lock, Clock::time_point until, Done done) {
    while (!done()) {
      if (Clock::now() >= until) return false;
      sleep(lock, until);
    }
    return true;
  }

 private:
  void sleep(std::unique_lock<std::mutex>& lock, Clock::time_point until);

  const char* what_;
  std::condition_variable changed_;
};

/// std::thread. Must be joined before it goes.
class Thread {
 public:
  Thread() = default;
  /// \param name of at most 15 characters, as the system's tools show it
  Thread(const char* name, std::function<void()> work);
  [[nodiscard]] bool joinable() const { return simulated_ != nullptr || real_.joinable(); }
  void join();

 private:
  std::thread real_;
  std::function<void()> simulated_;  // waits for its end
};

}  // namespace faro
