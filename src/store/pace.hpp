// Internal to store/: how many requests are in flight, and how long each is. Pure arithmetic on a
// clock that is given, so that tests run it against stores that they make up.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace faro::store {

/// The level of requests in flight. Grows while throughput grows with it; halves when the store
/// throttles or fails, at most once in the time that the requests in flight take (as TCP does for
/// a window), and grows again when it answers. Looks up and down now and then, as stores change.
///
/// Throughput at a level is measured over a round: about as many requests as are in flight, all of
/// them started in the round, over 100 ms or more. It is requests in flight * bytes a request /
/// seconds a request (Little's law), and so does not depend on how many happen to end in the round:
/// requests that began together also end together. A round in which the client was starved does not
/// count. Where measurements disagree the higher level wins: one too many costs little.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Pace(std::size_t most);

  /// Requests that may be in flight now, 1 to most.
  [[nodiscard]] std::size_t level() const noexcept { return level_; }
  /// A request was sent; `in_flight` counts it.
  void started(Clock::time_point now, std::size_t in_flight);
  /// A request came to a good end.
  /// \param bytes of its body; 0 where there is none, such as of a question for a size: not counted
  /// \param seconds from its start to its end
  /// \param first_byte seconds from its start to the first byte of its body
  /// \param starved whether there was nothing more to send: the level was not what held it back
  void finished(Clock::time_point now, std::uint64_t bytes, double seconds, double first_byte,
                bool starved);
  /// The store asked for less, or did not answer; here or (as told by the job) at another rank.
  void throttled(Clock::time_point now);
  /// Bytes of a request that spend at most a twentieth of its time waiting for the first one, from
  /// 1 MiB to `largest`, and such that twice level() of them fit into `room`: as many in flight as
  /// there may be, and as many ready to follow. At most 4 MiB as long as the level is looked for.
  [[nodiscard]] std::uint64_t part_size(std::uint64_t largest, std::uint64_t room) const noexcept;
  /// The most requests that were in flight at once, for the report.
  [[nodiscard]] std::size_t peak() const noexcept { return peak_; }

 private:
  enum class Phase {
    grow,     // doubling, until two rounds in a row bring nothing
    hold,     // at the level that was found
    probe,    // rounds at another level and at the old one take turns
    recover,  // after throttled()
  };
  struct Round {
    Clock::time_point begin;
    double flight_seconds = 0;  // of all requests in flight, so far
    double bytes = 0;           // of the requests that began and ended in the round
    double seconds = 0;
    std::size_t requests = 0;
  };
  struct Trial {
    std::size_t level;
    double throughput;  // the best that was seen there, bytes/s
  };

  void advance(Clock::time_point now);
  void end_round(Clock::time_point now);
  void grow(Clock::time_point now, double throughput);
  void settle(Clock::time_point now);
  void hold(Clock::time_point now, double throughput);
  void begin_probe(Clock::time_point now);
  void probe(Clock::time_point now, double throughput);
  void reject_probe(Clock::time_point now);
  void recover(Clock::time_point now);

  std::size_t most_;
  std::size_t level_;
  std::size_t peak_ = 0;
  Phase phase_ = Phase::grow;

  // What is in flight, and since when.
  std::size_t in_flight_ = 0;
  Clock::time_point advanced_;
  Round round_;
  bool starved_ = true;  // when the last request ended, and before the first

  // Of a request, smoothed over some 16.
  double request_bytes_ = 0;
  double request_seconds_ = 0;
  double first_byte_ = 0;

  std::vector<Trial> trials_;  // of the growth
  unsigned in_vain_ = 0;       // rounds in a row without growth

  double held_ = 0;        // throughput at the level held, smoothed
  unsigned off_ = 0;       // rounds in a row that were far from it
  unsigned rounds_ = 0;    // of this probe
  bool up_ = true;         // where the next probe looks
  std::size_t other_ = 0;  // the level probed or, while that is in use, the old one
  double here_ = 0;        // sum of the throughputs at the old level, and at the one probed
  double there_ = 0;
  Clock::duration spacing_;  // between probes
  Clock::time_point next_probe_;

  std::size_t before_ = 0;  // level at which the store throttled
  bool grown_ = true;       // since it was last halved
  Clock::time_point throttled_at_;
};

}  // namespace faro::store
