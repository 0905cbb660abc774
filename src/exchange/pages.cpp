#include "exchange/pages.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/error.hpp"
#include "base/huge_pages.hpp"
#include "exchange/arena.hpp"

namespace faro::exchange {
namespace {

// Memory is taken in steps of this size: large enough to cost few calls, small beside a window.
constexpr std::uint64_t step_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t page = 4096;

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

}  // namespace

void populate(std::span<std::byte> memory, bool shared, const char* what) {
  if (memory.empty()) return;
  const auto off = reinterpret_cast<std::uintptr_t>(memory.data()) % page;
  auto* at = memory.data() - off;
  auto left = memory.size() + off;
  while (left > 0) {
    const auto step = std::min<std::uint64_t>(step_bytes, left);
    // The kernel answers an error where a touch would raise SIGBUS; one that is older than 5.14
    // does not know how, and is asked for the room before each step instead.
    if (madvise(at, step, MADV_POPULATE_WRITE) != 0) {
      const bool unknown = errno == EINVAL;
      check(unknown && (!shared || shared_space().free >= step), ErrorCode::memory,
            "the memory of {} ran out with {} missing: enlarge {}, or lower --window or --memory",
            what, human_bytes(static_cast<double>(left)), shared_space().directory);
      for (std::uint64_t i = 0; i < step; i += page) {
        auto& byte = reinterpret_cast<unsigned char&>(at[i]);
        std::atomic_ref(byte).fetch_or(0);  // a write that changes nothing: others write here too
      }
    }
    at += step;
    left -= step;
  }
}

PrivateMemory::PrivateMemory(std::uint64_t bytes, const char* what) {
  if (bytes == 0) return;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(at != MAP_FAILED, ErrorCode::memory, "no memory for {} of {}", what,
        human_bytes(static_cast<double>(bytes)));
  bytes_ = {static_cast<std::byte*>(at), bytes};
  huge_pages(bytes_);
}

PrivateMemory::~PrivateMemory() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

}  // namespace faro::exchange
