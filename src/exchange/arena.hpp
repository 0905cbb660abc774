// The node's shared memory that holds the blocks of the draining and the filling window.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "comm/comm.hpp"

namespace faro::exchange {

/// One segment a rank, each a ring of `capacity` bytes that its rank alone writes and all ranks of
/// the node read. Beside it each rank publishes how many steps it has released, so that memory is
/// given back without a message.
class Arena {
 public:
  /// Collective over `node`. Error(memory), on all ranks of the node, where its shared memory is
  /// too small: before anything is touched, as touching would be a SIGBUS.
  Arena(comm::Communicator& node, std::uint64_t capacity);

  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  /// The byte at a virtual address of a node rank's ring.
  [[nodiscard]] std::byte* at(int node_rank, std::uint64_t address) const;
  /// Makes sure that own memory at [address, address + bytes) is there: taken from the system the
  /// first time, ahead of need. Error(memory) where the node has none left.
  void populate(std::uint64_t address, std::uint64_t bytes);
  /// Bytes of the own segment that are there.
  [[nodiscard]] std::uint64_t populated() const noexcept { return populated_; }
  /// All segments' address ranges, for the accounting of resident memory.
  [[nodiscard]] std::span<const std::span<std::byte>> segments() const noexcept {
    return segments_;
  }

  /// Between writing blocks and telling others that they are there, and the other way round.
  void sync() { memory_->sync(); }
  /// Whether the node's ranks free the arena together. What the first of them says holds for all:
  /// one may have met the others just when another had waited long enough.
  [[nodiscard]] bool settle(bool together);
  /// Lets the memory go without the other ranks, who will not come to free it together.
  void abandon() { static_cast<void>(memory_.release()); }
  /// This rank needs no block that only steps below `steps` (counted over the run) use.
  void publish_released(std::uint64_t steps);
  /// The least of what the node's ranks have published.
  [[nodiscard]] std::uint64_t released() const;

 private:
  std::uint64_t capacity_;
  int rank_;
  std::unique_ptr<comm::SharedMemory> memory_;
  std::vector<std::span<std::byte>> segments_;
  std::uint64_t populated_ = 0;
};

/// Bytes that an arena may take of this node's shared memory, and in which directory that is.
struct SharedSpace {
  std::string directory;
  std::uint64_t free = 0;
};
[[nodiscard]] SharedSpace shared_space();

}  // namespace faro::exchange
