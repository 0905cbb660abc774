#include "store/budget.hpp"

#include <algorithm>

namespace faro::store {
namespace {

constexpr double job_tokens = 500;  // as aws-c-io's standard retry strategy
constexpr double least_tokens = 50;
constexpr double tokens_a_second = 2;

}  // namespace

RetryBudget::RetryBudget(unsigned ranks, Clock::time_point now)
    : capacity_(std::max(least_tokens, job_tokens / std::max(ranks, 1U))),
      tokens_(capacity_),
      filled_(now) {}

RetryBudget::Clock::duration RetryBudget::take(double cost, Clock::time_point now) {
  using Seconds = std::chrono::duration<double>;
  if (now > filled_) {
    tokens_ = std::min(capacity_, tokens_ + tokens_a_second * Seconds(now - filled_).count());
    filled_ = now;
  }
  cost = std::min(cost, capacity_);  // what can never be there would wait for ever
  if (tokens_ >= cost) {
    tokens_ -= cost;
    return Clock::duration::zero();
  }
  // Rounded up, so that who waits this long finds the tokens there.
  return std::chrono::ceil<std::chrono::microseconds>(Seconds((cost - tokens_) / tokens_a_second)) +
         std::chrono::microseconds(1);
}

void RetryBudget::refund() noexcept {
  tokens_ = std::min(capacity_, tokens_ + 1);
}

}  // namespace faro::store
