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
  /// Seconds after which a request of this size is slower than 95 % of the 256 before it, and at
  /// least twice their median: where all take about as long as each other, the slowest 5 % are
  /// no slow ones, and racing them would use up what a slow one needs. Requests that are slow by
  /// themselves move neither, as long as they are fewer than 5 %. Nothing as long as too few were
  /// seen (20).
  [[nodiscard]] std::optional<double> patience(std::uint64_t bytes) const;
  /// A request came to a good end. Of a race: the winner, timed from its own start.
  void finished(std::uint64_t bytes, double seconds);
  /// A request was sent that is no hedge.
  void started() noexcept { ++requests_; }
  /// Whether one more hedge is within 2 % of the requests sent, hedges included.
  [[nodiscard]] bool allowed() const noexcept;
  void hedged() noexcept { ++hedges_; }

 private:
  // Requests of one class of sizes.
  struct Recent {
    std::vector<float> seconds;     // a ring, as long as it has grown
    std::size_t next = 0;           // place of the oldest, once the ring is full
    unsigned added = 0;             // since patience was computed
    std::optional<float> patience;  // of those in the ring then
    void add(float value);
  };

  std::uint64_t requests_ = 0;
  std::uint64_t hedges_ = 0;
  std::array<Recent, 65> classes_;  // by bit_width of the size
};

}  // namespace faro::store
