// Internal to store/: when a slow request is worth a second one. Pure arithmetic.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace faro::store {

/// Keeps how long recent requests took, by size (a class between powers of two), and the budget of
/// hedges: at most 2 % of all requests.
class Hedging {
 public:
  /// Seconds after which a request of this size is worth another: it is slower than 95 % of the 256
  /// before it, and takes at least 1.5 times their median. As the budget is used up it grows to 5
  /// times that, unless the request is pressing: what is slow by chance must not use what is needed
  /// for requests that hang. Those do not move it as long as they are fewer than 5 %. Where fewer
  /// than 20 of a size were seen a larger size's time is as good, or a smaller one's, in
  /// proportion: a shard's last range may be slow too. Nothing as long as 20 of no size were seen.
  /// \param pressing whether next to nothing else is in flight or to be sent: all wait for this one
  [[nodiscard]] std::optional<double> patience(std::uint64_t bytes, bool pressing = false) const;
  /// The same for one of which no byte has come: after 1.5 times the time in which the first byte
  /// came of 95 % of those before it, but not before a tenth of what patience() says, as less is
  /// soon made good. Where the requests in flight share the way, whole ones take long, but their
  /// first bytes do not.
  [[nodiscard]] std::optional<double> first_patience(std::uint64_t bytes,
                                                     bool pressing = false) const;
  /// A request came to a good end. Of a race: the winner, timed from its own start.
  void finished(std::uint64_t bytes, double seconds, double first_byte);
  /// A request was sent that is no hedge.
  void started() noexcept { ++requests_; }
  /// Whether one more hedge is within 2 % of the requests sent, hedges included.
  [[nodiscard]] bool allowed() const noexcept;
  void hedged() noexcept { ++hedges_; }

 private:
  // Requests of one class of sizes.
  struct Recent {
    std::vector<float> seconds;    // a ring, as long as it has grown
    std::size_t next = 0;          // place of the oldest, once the ring is full
    unsigned added = 0;            // since `slowest` was computed
    std::optional<float> slowest;  // how long all but the slow ones in the ring took then
    void add(float value);
  };

  [[nodiscard]] std::optional<double> slowest(std::uint64_t bytes) const;
  [[nodiscard]] double scarcity(bool pressing) const;

  std::uint64_t requests_ = 0;
  std::uint64_t hedges_ = 0;
  std::array<Recent, 65> classes_;  // by bit_width of the size
  Recent first_bytes_;              // of all sizes
};

}  // namespace faro::store
