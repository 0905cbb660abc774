// Memory that is taken from the system once, ahead of need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace faro::exchange {

/// Makes sure that the pages of `memory` are there. Error(memory) where the node has none left,
/// where a touch of shared memory would be a SIGBUS. `what` is named in it.
void populate(std::span<std::byte> memory, bool shared, const char* what);

/// Private memory in huge pages, where the system grants them. Its pages come with their first use,
/// or populate(). Error(memory).
class PrivateMemory {
 public:
  PrivateMemory(std::uint64_t bytes, const char* what);
  PrivateMemory(const PrivateMemory&) = delete;
  PrivateMemory& operator=(const PrivateMemory&) = delete;
  ~PrivateMemory();
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  /// Lets it be, for ever: something may still write to it.
  void abandon() noexcept { bytes_ = {}; }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace faro::exchange
