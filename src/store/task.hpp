// Internal to store/: a request on its way, over all of its attempts.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "store/retry.hpp"
#include "store/uri.hpp"

namespace faro::store {

/// One request: queued, in flight (perhaps twice), or waiting for its next attempt.
struct Task {
  using Clock = std::chrono::steady_clock;

  std::uint64_t number = 0;  // in the order in which they came
  Attempt attempt;           // what is asked next: of a read, what is not there yet
  Scheme scheme = Scheme::http;
  ByteRange whole;                         // that the caller asked for
  std::uint32_t crc32c = 0;                // of those that are there already
  unsigned sent = 0;                       // attempts, hedges left out
  unsigned wrong = 0;                      // attempts that count against the limit
  unsigned in_vain = 0;                    // attempts in a row that brought (next to) nothing
  bool doubtful = false;                   // whether the last one counts, too, will be seen
  bool pardoned = false;                   // its retry costs nothing: see answered()
  std::optional<Clock::time_point> begun;  // of the first attempt
  Clock::time_point started;               // of the current one
  std::optional<Failure> last;             // why the last one failed
  bool running = false;                    // `attempt` is with the transport
  std::unique_ptr<Attempt> hedge;          // the same, racing it
  Clock::time_point hedge_started;
  bool raced = false;  // `into` may have been written by two attempts at once

  /// The attempt as the caller asked for it, for messages.
  [[nodiscard]] Attempt original() const {
    Attempt out;
    out.kind = attempt.kind;
    out.request.uri = attempt.request.uri;
    out.request.range = whole;
    out.call.method = attempt.call.method;
    out.call.uri = attempt.call.uri;
    return out;
  }
};

}  // namespace faro::store
