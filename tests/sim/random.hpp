// The chance of a simulation: all of it comes from its seed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/runtime.hpp"

namespace faro::sim {

/// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    auto z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// From 0 to n - 1.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  /// From low to high, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }
  double real() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double real(double low, double high) { return low + (high - low) * real(); }
  bool chance(double p) { return real() < p; }
  /// As likely in each power of ten.
  double spread(double low, double high) { return low * std::pow(high / low, real()); }

 private:
  std::uint64_t state_;
};

inline Clock::duration seconds(double value) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
}

}  // namespace faro::sim
