#include <cmath>
#include <numeric>

#include "order/order.hpp"

namespace faro::order {
namespace {

__extension__ using Wide = unsigned __int128;

// Constants of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
// OOPSLA 2014): the step of its counter, and the multipliers of its finaliser (Stafford's mix 13).
constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
constexpr std::uint64_t multiplier1 = 0xbf58476d1ce4e5b9;
constexpr std::uint64_t multiplier2 = 0x94d049bb133111eb;

constexpr std::uint64_t mix(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * multiplier1;
  z = (z ^ (z >> 27)) * multiplier2;
  return z ^ (z >> 31);
}

/// SplitMix64's output number `counter` for a key: random access, no state.
constexpr std::uint64_t random_bits(std::uint64_t key, std::uint64_t counter) noexcept {
  return mix(key + (counter + 1) * golden);
}

constexpr std::uint64_t multiply_high(std::uint64_t x, std::uint64_t y) noexcept {
  return static_cast<std::uint64_t>((Wide{x} * y) >> 64);
}

/// Uniform in [0, range) without bias (Lemire, "Fast random integer generation in an interval",
/// ACM TOMACS 29, 2019). Takes as many outputs as it must; `counter` is left behind the last.
std::uint64_t random_below(std::uint64_t range, std::uint64_t key, std::uint64_t& counter) {
  const std::uint64_t rejected = (0 - range) % range;
  for (;;) {
    const Wide product = Wide{random_bits(key, counter++)} * range;
    if (static_cast<std::uint64_t>(product) >= rejected) {
      return static_cast<std::uint64_t>(product >> 64);
    }
  }
}

/// What a round adds: a hash of the other half, reduced to [0, radix). The product's high word does
/// it without a division; the bias is below radix / 2^64, at most 2^-32. Only the hash's upper bits
/// count, so it can do without SplitMix64's last and first shifts, a third of its time.
inline std::uint64_t round_value(std::uint64_t half, std::uint64_t key,
                                 std::uint64_t radix) noexcept {
  std::uint64_t z = (half ^ key) * multiplier1;
  z = (z ^ (z >> 32)) * multiplier2;
  return multiply_high(z, radix);
}

inline std::uint64_t add_mod(std::uint64_t x, std::uint64_t y, std::uint64_t radix) noexcept {
  const std::uint64_t sum = x + y;  // radix is at most 2^32
  return sum >= radix ? sum - radix : sum;
}

inline std::uint64_t subtract_mod(std::uint64_t x, std::uint64_t y, std::uint64_t radix) noexcept {
  return x >= y ? x - y : x + radix - y;
}

std::uint64_t ceil_sqrt(std::uint64_t n) {
  // The root is a guess that floating point may have rounded either way: made exact in integers.
  auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n)));
  while (root > 0 && Wide{root - 1} * (root - 1) >= n) --root;
  while (Wide{root} * root < n) ++root;
  return root;
}

struct Halves {
  std::uint64_t l;
  std::uint64_t r;
};

/// x = l b + r. With m = floor((2^64 - 1) / b), 2^64 / b - m is at most 1, so the estimate
/// floor(x m / 2^64) is the quotient or one less: one correction, and no division.
inline Halves split(std::uint64_t x, std::uint64_t b, std::uint64_t m) noexcept {
  std::uint64_t l = multiply_high(x, m);
  std::uint64_t r = x - l * b;
  if (r >= b) {
    ++l;
    r -= b;
  }
  return {l, r};
}

}  // namespace

std::uint64_t derive_key(std::uint64_t seed, std::uint64_t epoch, Purpose purpose,
                         std::uint64_t index) {
  std::uint64_t hash = golden;
  for (const std::uint64_t number : {seed, epoch, static_cast<std::uint64_t>(purpose), index}) {
    hash = mix((hash ^ number) + golden);
  }
  return hash;
}

Permutation::Permutation(std::uint64_t size, std::uint64_t key) : size_(size) {
  if (size <= largest_table) {
    make_table(key);
    return;
  }
  a_ = ceil_sqrt(size);
  b_ = (size - 1) / a_ + 1;
  b_reciprocal_ = ~std::uint64_t{0} / b_;
  for (std::size_t i = 0; i < rounds; ++i) round_keys_[i] = random_bits(key, i);
}

void Permutation::make_table(std::uint64_t key) {
  table_.resize(size_);
  inverse_.resize(size_);
  std::iota(table_.begin(), table_.end(), std::uint16_t{0});
  std::uint64_t counter = 0;
  for (std::uint64_t left = size_; left > 1; --left) {  // Fisher-Yates, from the end
    std::swap(table_[left - 1], table_[random_below(left, key, counter)]);
  }
  for (std::uint64_t i = 0; i < size_; ++i) inverse_[table_[i]] = static_cast<std::uint16_t>(i);
}

std::uint64_t Permutation::operator()(std::uint64_t i) const noexcept {
  if (size_ <= largest_table) return table_[i];
  do {
    auto [l, r] = split(i, b_, b_reciprocal_);
    for (std::size_t k = 0; k < rounds; k += 2) {
      l = add_mod(l, round_value(r, round_keys_[k], a_), a_);
      r = add_mod(r, round_value(l, round_keys_[k + 1], b_), b_);
    }
    i = l * b_ + r;
  } while (i >= size_);
  return i;
}

std::uint64_t Permutation::inverse(std::uint64_t image) const noexcept {
  if (size_ <= largest_table) return inverse_[image];
  do {
    auto [l, r] = split(image, b_, b_reciprocal_);
    for (std::size_t k = rounds; k > 0; k -= 2) {
      r = subtract_mod(r, round_value(l, round_keys_[k - 1], b_), b_);
      l = subtract_mod(l, round_value(r, round_keys_[k - 2], a_), a_);
    }
    image = l * b_ + r;
  } while (image >= size_);
  return image;
}

}  // namespace faro::order
