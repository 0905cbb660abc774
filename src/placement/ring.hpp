// The memory of a ring of batches, and who holds which. Shared by the placement and by every batch
// and DLPack tensor that is out, so that these may outlive it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace faro::placement {

/// Thread safe.
class Ring {
 public:
  /// Takes the memory, without touching it. Error(memory).
  Ring(std::uint64_t batch_bytes, std::uint64_t batches);

  /// A batch that nobody holds.
  [[nodiscard]] std::optional<std::size_t> take();
  void give_back(std::size_t batch);
  [[nodiscard]] std::span<std::byte> memory(std::size_t batch) const;

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  std::uint64_t batch_bytes_;
  std::unique_ptr<std::byte, Free> memory_;
  mutable std::mutex mutex_;
  std::vector<bool> taken_;
};

}  // namespace faro::placement
