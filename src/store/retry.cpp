#include "store/retry.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace faro::store {
namespace {

constexpr double longest_wait = 20.0;  // seconds; the cap of aws-c-io

std::string what_of(const Attempt& attempt) {
  const auto& [offset, length] = attempt.request.range;
  switch (attempt.kind) {
    case Attempt::Kind::read:
      return fmt::format("reading bytes {} to {} of", offset, offset + length - 1);
    case Attempt::Kind::stat: return "asking for the size of";
    case Attempt::Kind::call: break;
  }
  switch (attempt.call.method) {
    case Call::Method::get: return "listing";
    case Call::Method::put:
    case Call::Method::post: return "writing";
    case Call::Method::remove: return "removing";
  }
  return "asking";
}

}  // namespace

Treatment treatment_of(Cause cause) noexcept {
  // The costs are aws-c-io's: transient errors cost twice.
  switch (cause) {
    case Cause::connection: return {true, true, 10, RetryCause::connection};
    case Cause::timeout: return {true, true, 10, RetryCause::timeout};
    case Cause::server_error: return {true, true, 10, RetryCause::server_error};
    case Cause::throttled: return {true, true, 5, RetryCause::throttled};
    case Cause::truncated: return {true, false, 5, RetryCause::truncated};
    case Cause::bad_answer: return {true, false, 5, RetryCause::wrong};
    case Cause::expired: return {true, false, 5, RetryCause::expired};
    case Cause::unsupported:
    case Cause::untrusted:
    case Cause::not_found:
    case Cause::access_denied:
    case Cause::changed:
    case Cause::invalid:
    case Cause::io: return {};
  }
  return {};
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
    case Cause::access_denied:
    case Cause::expired: return ErrorCode::access_denied;
    case Cause::changed: return ErrorCode::changed;
    case Cause::invalid: return ErrorCode::invalid_argument;
    case Cause::io: return ErrorCode::io;
  }
  return ErrorCode::internal;
}

Cause cause_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::access_denied: return Cause::access_denied;
    case ErrorCode::not_found: return Cause::not_found;
    case ErrorCode::invalid_argument:
    case ErrorCode::format: return Cause::invalid;
    default: return Cause::io;
  }
}

Error final_error(const Attempt& attempt, const Failure& failure, unsigned attempts,
                  const std::string& why) {
  return Error(
      code_of(failure.cause),
      fmt::format("{} {} failed after {} attempt{}{}: {}", what_of(attempt),
                  redacted(attempt.uri()), attempts, attempts == 1 ? "" : "s", why, failure.text));
}

std::chrono::steady_clock::duration Backoff::wait(unsigned tries) {
  const double most = std::min(longest_wait, backoff_ * std::pow(2.0, std::min(tries, 30U)));
  const std::chrono::duration<double> seconds(
      std::uniform_real_distribution<double>(0.0, std::max(most, 1e-9))(random_));
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(seconds);
}

}  // namespace faro::store
