#include "store/hedge.hpp"

#include <algorithm>
#include <bit>

namespace faro::store {
namespace {

constexpr std::size_t ring_size = 256;
constexpr std::size_t fewest = 20;       // the least of which 5 % is one
constexpr unsigned recompute_every = 8;  // one pass over the ring: a microsecond or two

}  // namespace

void Hedging::Recent::add(float value) {
  if (seconds.size() < ring_size) {
    seconds.push_back(value);
  } else {
    seconds[next] = value;
    next = (next + 1) % ring_size;
  }
  ++added;
  if (seconds.size() < fewest || (patience && added < recompute_every)) return;
  added = 0;
  auto sorted = seconds;
  const auto quantile = [&](double share) {
    const auto at = sorted.begin() +
                    static_cast<std::ptrdiff_t>(share * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), at, sorted.end());
    return *at;
  };
  patience = std::max(quantile(0.95), 2 * quantile(0.5));
}

std::optional<double> Hedging::patience(std::uint64_t bytes) const {
  return classes_[static_cast<std::size_t>(std::bit_width(bytes))].patience;
}

void Hedging::finished(std::uint64_t bytes, double seconds) {
  classes_[static_cast<std::size_t>(std::bit_width(bytes))].add(static_cast<float>(seconds));
}

bool Hedging::allowed() const noexcept {
  return (hedges_ + 1) * 50 <= requests_ + hedges_ + 1;
}

}  // namespace faro::store
