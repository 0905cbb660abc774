// Internal to store/: how many requests are in flight, and how long each is. Pure arithmetic on a
// clock that is given, so that tests run it against stores that they make up.
#pragma once

#include <chrono>
#include <cstdint>

namespace faro::store {

/// The level of requests in flight. Grows while throughput grows with it; halves when the store
/// throttles or fails, at most once in the time that the requests in flight take (as TCP does for
/// a window), and grows again when it answers. Looks up and down now and then, as stores change.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Pace(std::size_t most);

  /// Requests that may be in flight now, 1 to most.
  [[nodiscard]] std::size_t level() const noexcept;
  /// A request was sent; `in_flight` counts it.
  void started(Clock::time_point now, std::size_t in_flight);
  /// A request came to a good end.
  /// \param bytes of its body
  /// \param seconds from its start to its end
  /// \param first_byte seconds from its start to the first byte of its body
  /// \param starved whether there was nothing more to send: the level was not what held it back
  void finished(Clock::time_point now, std::uint64_t bytes, double seconds, double first_byte,
                bool starved);
  /// The store asked for less, or did not answer; here or (as told by the job) at another rank.
  void throttled(Clock::time_point now);
  /// Bytes of a request that spend at most a twentieth of its time waiting for the first one, from
  /// 1 MiB to `largest`, and such that level() of them fit into `room`.
  [[nodiscard]] std::uint64_t part_size(std::uint64_t largest, std::uint64_t room) const noexcept;
  /// The highest level that was used, for the report.
  [[nodiscard]] std::size_t peak() const noexcept;

 private:
  // The implementation's.
};

}  // namespace faro::store
