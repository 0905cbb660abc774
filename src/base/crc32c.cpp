#include "base/crc32c.hpp"

#include <isa-l/crc.h>

#include <algorithm>
#include <array>

namespace faro {
namespace {

// A CRC is a polynomial over GF(2), reduced by Castagnoli's; bit 31 is the coefficient of x^0.
constexpr std::uint32_t reversed_polynomial = 0x82f63b78;
constexpr std::uint32_t one = 0x80000000;

constexpr std::uint32_t times_x(std::uint32_t a) {
  return (a >> 1) ^ ((a & 1U) != 0 ? reversed_polynomial : 0);
}

constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (; a != 0; a <<= 1, b = times_x(b)) {
    if ((a & one) != 0) product ^= b;
  }
  return product;
}

// x to the power 8 * 2^k: what 2^k bytes of zeros behind a message multiply its CRC by.
constexpr auto powers = [] {
  std::array<std::uint32_t, 64> table{};
  auto power = one >> 8;  // x^8
  for (auto& entry : table) {
    entry = power;
    power = multiply(power, power);
  }
  return table;
}();

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  // isa-l counts in int and leaves the inversion at both ends to its caller.
  constexpr std::size_t chunk = std::size_t{1} << 30;
  std::uint32_t state = ~crc;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), chunk));
    // The C interface lacks const; it only reads.
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(part.data()));
    state = crc32_iscsi(data, static_cast<int>(part.size()), state);
    bytes = bytes.subspan(part.size());
  }
  return ~state;
}

std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b,
                             std::uint64_t length_b) noexcept {
  for (std::size_t k = 0; length_b != 0; ++k, length_b >>= 1) {
    if ((length_b & 1U) != 0) crc_a = multiply(powers[k], crc_a);
  }
  return crc_a ^ crc_b;  // the inversions at both ends cancel out
}

}  // namespace faro
