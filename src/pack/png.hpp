#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace faro::pack {

/// Pixels a side that encode_png() takes; far above any data set, far below libpng's own limit.
inline constexpr std::uint32_t max_png_side = 65'535;

/// 8-bit grey pixels, row by row, as a PNG. The same pixels give the same bytes.
/// Errors: internal (sizes that do not fit), memory.
[[nodiscard]] std::vector<std::byte> encode_png(std::span<const std::byte> pixels,
                                                std::uint32_t width, std::uint32_t height);

}  // namespace faro::pack
