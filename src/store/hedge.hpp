// Internal to store/: when a slow request is worth a second one. Pure arithmetic.
#pragma once

#include <cstdint>
#include <optional>

namespace faro::store {

/// Keeps how long recent requests took, by size (a class between powers of two), and the budget of
/// hedges: at most 2 % of all requests.
class Hedging {
 public:
  /// Seconds after which a request of this size is slower than 95 % of those before it; nothing as
  /// long as too few were seen (20).
  [[nodiscard]] std::optional<double> patience(std::uint64_t bytes) const;
  void finished(std::uint64_t bytes, double seconds);
  /// A request was sent that is no hedge.
  void started() noexcept { ++requests_; }
  /// Whether one more hedge is within 2 % of the requests sent, hedges included.
  [[nodiscard]] bool allowed() const noexcept;
  void hedged() noexcept { ++hedges_; }

 private:
  std::uint64_t requests_ = 0;
  std::uint64_t hedges_ = 0;
  // The implementation's.
};

}  // namespace faro::store
