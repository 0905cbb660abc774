// What the threads of a rank tell each other.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/runtime.hpp"
#include "faro/error.hpp"

namespace faro::exchange {

/// Thread safe.
class Progress {
 public:
  /// How far the rank's own blocks have come: all of its turns below `turn` of an epoch, and all of
  /// the epochs before it, are in the arena, whole, checked and split.
  struct Ready {
    std::uint64_t epoch = 0;
    std::uint64_t turn = 0;
    auto operator<=>(const Ready&) const = default;
  };

  void set_ready(Ready ready) {
    change([&] { ready_ = ready; });
  }
  [[nodiscard]] Ready ready() const {
    const std::scoped_lock lock(mutex_);
    return ready_;
  }
  /// This rank cannot go on. The first failure stays.
  void fail(const Error& error) {
    change([&] {
      if (!failure_) failure_ = error;
    });
  }
  [[nodiscard]] std::optional<Error> failure() const {
    const std::scoped_lock lock(mutex_);
    return failure_;
  }
  /// This rank's consumer has left.
  void stop() {
    change([&] { stopping_ = true; });
  }
  /// It will come to no more of the consumers' meetings: it has been to so many. Before stop() or
  /// fail(), which tell the others.
  void miss_meetings(std::uint64_t from) {
    change([&] { missed_from_ = std::min(missed_from_, from); });
  }
  /// all_met where it comes to all.
  [[nodiscard]] std::uint64_t missed_from() const {
    const std::scoped_lock lock(mutex_);
    return missed_from_;
  }
  static constexpr std::uint64_t all_met = UINT64_MAX;
  [[nodiscard]] bool stopping() const {
    const std::scoped_lock lock(mutex_);
    return stopping_;
  }
  /// This rank's consumer has come to the end of the last epoch.
  void end() {
    change([&] { ended_ = true; });
  }
  [[nodiscard]] bool ended() const {
    const std::scoped_lock lock(mutex_);
    return ended_;
  }
  /// Something else has changed: wakes who waits.
  void notify() {
    change([] {});
  }
  /// Number of changes so far, for wait().
  [[nodiscard]] std::uint64_t changes() const {
    const std::scoped_lock lock(mutex_);
    return changes_;
  }
  /// Returns once there were changes since `seen`, or after `timeout`.
  void wait(std::uint64_t seen, std::chrono::microseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, Clock::now() + timeout, [&] { return changes_ != seen; });
  }

 private:
  template <class Change>
  void change(Change&& apply) {
    {
      const std::scoped_lock lock(mutex_);
      apply();
      ++changes_;
    }
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  Condition changed_{"a change of its rank"};
  std::uint64_t changes_ = 0;
  Ready ready_;
  std::optional<Error> failure_;
  std::uint64_t missed_from_ = all_met;
  bool stopping_ = false;
  bool ended_ = false;
};

}  // namespace faro::exchange
