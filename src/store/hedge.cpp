#include "store/hedge.hpp"

#include <algorithm>
#include <bit>

namespace faro::store {
namespace {

constexpr std::size_t ring_size = 256;
constexpr std::size_t fewest = 20;  // the least of which 5 % is one
constexpr float least_medians = 1.5;
constexpr double most_hedges = 0.02;     // of all requests
constexpr double longest_patience = 5;   // times the usual one
constexpr double late_first_byte = 1.5;  // times the usual wait for it
constexpr double least_share = 0.1;      // of the patience with whole requests
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
  if (seconds.size() < fewest || (slowest && added < recompute_every)) return;
  added = 0;
  auto sorted = seconds;
  const auto quantile = [&](double share) {
    const auto at = sorted.begin() +
                    static_cast<std::ptrdiff_t>(share * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), at, sorted.end());
    return *at;
  };
  slowest = std::max(quantile(0.95), least_medians * quantile(0.5));
}

std::optional<double> Hedging::patience(std::uint64_t bytes, bool pressing) const {
  const auto usual = slowest(bytes);
  if (!usual) return usual;
  return scarcity(pressing) * *usual;
}

std::optional<double> Hedging::first_patience(std::uint64_t bytes, bool pressing) const {
  const auto whole = slowest(bytes);
  const auto& first = first_bytes_.slowest;
  if (!whole || !first) return patience(bytes, pressing);
  return scarcity(pressing) *
         std::clamp<double>(late_first_byte * *first, least_share * *whole, *whole);
}

// Grows little as long as half of the budget is left.
double Hedging::scarcity(bool pressing) const {
  if (pressing || hedges_ == 0) return 1;
  const double budget = most_hedges * static_cast<double>(requests_ + hedges_);
  const double used = static_cast<double>(hedges_) / budget;
  return 1 + (longest_patience - 1) * used * used * used * used;
}

std::optional<double> Hedging::slowest(std::uint64_t bytes) const {
  const auto own = static_cast<std::size_t>(std::bit_width(bytes));
  for (auto larger = own; larger < classes_.size(); ++larger) {
    if (classes_[larger].slowest) return classes_[larger].slowest;
  }
  double scale = 1;
  for (auto smaller = own; smaller-- > 0;) {
    scale *= 2;
    if (classes_[smaller].slowest) return scale * *classes_[smaller].slowest;
  }
  return std::nullopt;
}

void Hedging::finished(std::uint64_t bytes, double seconds, double first_byte) {
  first_bytes_.add(static_cast<float>(first_byte));
  classes_[static_cast<std::size_t>(std::bit_width(bytes))].add(static_cast<float>(seconds));
}

bool Hedging::allowed() const noexcept {
  const auto hedges = static_cast<double>(hedges_ + 1);
  return hedges <= most_hedges * (static_cast<double>(requests_) + hedges);
}

}  // namespace faro::store
