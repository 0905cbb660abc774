// The Feistel network of order/ written out plainly (divisions, any number of rounds): what the
// fast one is compared with, and what the statistics must find fault with when rounds are missing.
#pragma once

#include <cmath>
#include <cstdint>

namespace faro::order::test {

inline std::uint64_t split_mix(std::uint64_t key, std::uint64_t counter) {
  std::uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// For sizes below 2^48, whose roots are exact in a double.
struct PlainNetwork {
  std::uint64_t size;
  std::uint64_t key;
  int rounds;

  [[nodiscard]] std::uint64_t a() const {
    return static_cast<std::uint64_t>(std::ceil(std::sqrt(static_cast<double>(size))));
  }
  [[nodiscard]] std::uint64_t b() const { return (size + a() - 1) / a(); }

  std::uint64_t operator()(std::uint64_t i) const {
    do {
      std::uint64_t l = i / b();
      std::uint64_t r = i % b();
      for (int round = 0; round < rounds; ++round) {
        const std::uint64_t round_key = split_mix(key, static_cast<std::uint64_t>(round));
        if (round % 2 == 0) {
          l = (l + value(r, round_key, a())) % a();
        } else {
          r = (r + value(l, round_key, b())) % b();
        }
      }
      i = l * b() + r;
    } while (i >= size);
    return i;
  }

  static std::uint64_t value(std::uint64_t half, std::uint64_t round_key, std::uint64_t radix) {
    std::uint64_t z = (half ^ round_key) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 32)) * 0x94d049bb133111eb;
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>(Wide{z} * radix / (Wide{1} << 64));
  }
};

}  // namespace faro::order::test
