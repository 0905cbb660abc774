#pragma once

#include <cstddef>
#include <span>

namespace faro {

/// The whole pages in `memory`: what madvise and mbind take.
[[nodiscard]] std::span<std::byte> whole_pages(std::span<std::byte> memory) noexcept;

/// Asks for huge pages in the whole pages of `memory`, before it is touched. They come with the
/// first use of each 2 MiB (on most processors) that lie in it aligned; where the system grants
/// none, nothing changes. Copies between private buffers gain up to a half.
void huge_pages(std::span<std::byte> memory) noexcept;
/// Asks for none, before it is touched.
void small_pages(std::span<std::byte> memory) noexcept;

}  // namespace faro
