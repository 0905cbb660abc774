#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace faro {

/// CRC32C (Castagnoli, RFC 3720) of bytes, continuing from `crc` (0 at the start of a run of
/// bytes). crc32c("123456789") is 0xe3069283.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes,
                                   std::uint32_t crc = 0) noexcept;

}  // namespace faro
