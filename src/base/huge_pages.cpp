#include "base/huge_pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace faro {

std::span<std::byte> whole_pages(std::span<std::byte> memory) noexcept {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  const auto first = (begin + page - 1) / page * page;
  const auto last = (begin + memory.size()) / page * page;
  return first < last ? memory.subspan(first - begin, last - first) : std::span<std::byte>();
}

void huge_pages(std::span<std::byte> memory) noexcept {
  const auto pages = whole_pages(memory);
  if (!pages.empty()) madvise(pages.data(), pages.size(), MADV_HUGEPAGE);
}

void small_pages(std::span<std::byte> memory) noexcept {
  const auto pages = whole_pages(memory);
  if (!pages.empty()) madvise(pages.data(), pages.size(), MADV_NOHUGEPAGE);
}

}  // namespace faro
