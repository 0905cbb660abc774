#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace faro {

/// CRC32C (Castagnoli, RFC 3720) of bytes, continuing from `crc` (0 at the start of a run of
/// bytes). crc32c("123456789") is 0xe3069283.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes,
                                   std::uint32_t crc = 0) noexcept;

/// The CRC32C of A followed by B, from A's, B's and the bytes of B, which nobody needs to see
/// again: crc_a times x^(8 length_b), plus crc_b, as zlib's crc32_combine. Under a microsecond.
[[nodiscard]] std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b,
                                           std::uint64_t length_b) noexcept;

}  // namespace faro
