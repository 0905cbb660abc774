// Internal to store/: the retry policy, apart from every transport.
#pragma once

#include <chrono>
#include <random>

#include "store/transport.hpp"

namespace faro::store {

/// Whether another attempt may help. Broken connections and server errors pass; a missing or a
/// changed object, a refusal and an untrusted certificate do not.
[[nodiscard]] bool retriable(Cause cause) noexcept;

/// The code of the error that a cause ends in.
[[nodiscard]] ErrorCode code_of(Cause cause) noexcept;

/// The error that a request ends in: URI without secrets, byte range, attempts, last cause.
[[nodiscard]] Error final_error(const Attempt& attempt, const Failure& failure, unsigned attempts);

/// How often and when a request is tried again.
class RetryPolicy {
 public:
  explicit RetryPolicy(const Options& options)
      : attempts_(options.attempts), backoff_(options.backoff), random_(std::random_device{}()) {}

  /// Whether a request that has failed `attempts` times, now by `cause`, is tried again.
  [[nodiscard]] bool again(Cause cause, unsigned attempts) const noexcept {
    return attempts < attempts_ && retriable(cause);
  }
  /// How long to wait after `attempts` failed tries: uniform between 0 and backoff * 3^attempts, at
  /// most 20 s. Full jitter keeps the ranks of a job from coming back all at once.
  [[nodiscard]] std::chrono::steady_clock::duration wait(unsigned attempts);

 private:
  unsigned attempts_;
  double backoff_;
  std::minstd_rand random_;
};

}  // namespace faro::store
