// Internal to store/: the retry policy, apart from every transport. What is retried stands in a
// table of docs/operations.md, too.
#pragma once

#include <chrono>
#include <optional>
#include <random>

#include "base/runtime.hpp"
#include "store/transport.hpp"

namespace faro::store {

/// What the policy does about a cause.
struct Treatment {
  bool retried = false;
  bool outage = false;    ///< a sign that the store may be down: it is asked less
  double cost = 0;        ///< tokens of the budget
  RetryCause reported{};  ///< where retried
};
[[nodiscard]] Treatment treatment_of(Cause cause) noexcept;

/// The code of the error that a cause ends in, and the cause of an error of our own.
[[nodiscard]] ErrorCode code_of(Cause cause) noexcept;
[[nodiscard]] Cause cause_of(ErrorCode code) noexcept;

/// The error that a request ends in: URI without secrets, byte range, attempts, last cause.
/// \param why the limit that ended it, in words; empty where the cause alone did
[[nodiscard]] Error final_error(const Attempt& attempt, const Failure& failure, unsigned attempts,
                                const std::string& why);

/// Full jitter: after `tries` failed tries a wait that is uniform between 0 and backoff * 2^tries,
/// at most 20 s. It keeps the ranks of a job from coming back all at once.
class Backoff {
 public:
  explicit Backoff(double backoff)
      : backoff_(backoff), random_(static_cast<std::minstd_rand::result_type>(entropy())) {}
  [[nodiscard]] std::chrono::steady_clock::duration wait(unsigned tries);

 private:
  double backoff_;
  std::minstd_rand random_;
};

/// Whether the store as a whole has stopped answering, and since when.
class Outage {
 public:
  using Clock = std::chrono::steady_clock;
  void answered(Clock::time_point now) noexcept {
    last_answer_ = now;
    reset();
  }
  /// An attempt that began at `begun` got no good answer.
  void failed(Clock::time_point begun) noexcept {
    ++failures_;
    if (!since_ && begun >= last_answer_) since_ = begun;
  }
  /// Attempts in a row that got no good answer.
  [[nodiscard]] unsigned failures() const noexcept { return failures_; }
  /// It was given up: the next failure begins another one.
  void reset() noexcept {
    since_.reset();
    failures_ = 0;
  }
  /// Nobody looked for so long.
  void postpone(Clock::duration away) noexcept {
    if (since_) *since_ += away;
  }
  [[nodiscard]] std::optional<Clock::time_point> since() const noexcept { return since_; }

 private:
  Clock::time_point last_answer_{};
  std::optional<Clock::time_point> since_;
  unsigned failures_ = 0;
};

}  // namespace faro::store
