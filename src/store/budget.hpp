// Internal to store/: the budget of retries, a token bucket. Pure arithmetic on a given clock.
#pragma once

#include <chrono>

namespace faro::store {

/// A job's bucket holds 500 tokens (as aws-c-io's), shared out over its ranks, but at least 50 a
/// rank. A retry costs 5, one of a broken connection or a timeout 10; a good answer gives one
/// back. Where the bucket is empty a retry is not refused but waits: 2 tokens a second come back by
/// themselves, so a store that is down gets one request in 5 s from a rank.
class RetryBudget {
 public:
  using Clock = std::chrono::steady_clock;
  RetryBudget(unsigned ranks, Clock::time_point now);
  /// Takes the cost, or tells how long to wait until it is there (and takes nothing).
  [[nodiscard]] Clock::duration take(double cost, Clock::time_point now);
  void refund() noexcept;

 private:
  double capacity_;
  double tokens_;
  Clock::time_point filled_;
};

}  // namespace faro::store
