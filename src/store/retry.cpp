#include "store/retry.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace faro::store {
namespace {

constexpr double longest_wait = 20.0;  // seconds; the cap of aws-c-io

}  // namespace

bool retriable(Cause cause) noexcept {
  switch (cause) {
    case Cause::connection:
    case Cause::timeout:
    case Cause::throttled:
    case Cause::server_error:
    case Cause::truncated:
    case Cause::bad_answer: return true;
    case Cause::unsupported:
    case Cause::untrusted:
    case Cause::not_found:
    case Cause::access_denied:
    case Cause::changed:
    case Cause::invalid:
    case Cause::io: return false;
  }
  return false;
}

ErrorCode code_of(Cause cause) noexcept {
  switch (cause) {
    case Cause::connection:
    case Cause::throttled:
    case Cause::server_error:
    case Cause::truncated:
    case Cause::bad_answer:
    case Cause::unsupported:
    case Cause::untrusted: return ErrorCode::network;
    case Cause::timeout: return ErrorCode::timeout;
    case Cause::not_found: return ErrorCode::not_found;
    case Cause::access_denied: return ErrorCode::access_denied;
    case Cause::changed: return ErrorCode::changed;
    case Cause::invalid: return ErrorCode::invalid_argument;
    case Cause::io: return ErrorCode::io;
  }
  return ErrorCode::internal;
}

Error final_error(const Attempt& attempt, const Failure& failure, unsigned attempts) {
  const auto& [offset, length] = attempt.request.range;
  const std::string what =
      attempt.stat ? "asking for the size of"
                   : fmt::format("reading bytes {} to {} of", offset, offset + length - 1);
  return Error(code_of(failure.cause), fmt::format("{} {} failed after {} attempt{}: {}", what,
                                                   redacted(attempt.request.uri), attempts,
                                                   attempts == 1 ? "" : "s", failure.text));
}

std::chrono::steady_clock::duration RetryPolicy::wait(unsigned attempts) {
  const double most = std::min(longest_wait, backoff_ * std::pow(3.0, attempts));
  const std::chrono::duration<double> seconds(
      std::uniform_real_distribution<double>(0.0, std::max(most, 1e-9))(random_));
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(seconds);
}

}  // namespace faro::store
