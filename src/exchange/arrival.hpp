// Memory for the samples that come from other nodes, taken once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/comm.hpp"
#include "exchange/pages.hpp"

namespace faro::exchange {

/// Equally large buffers that rounds use in turn, and what is known of a round's messages: who
/// needs which, and where those that have come lie. One for each group of receivers, in shared
/// memory where it has several, so that whoever receives a message has handed it to all. Messages
/// are told by their lane: (group it comes from) * parts + part.
///
/// A round may begin in its buffer when all of the group's ranks have released the batches of the
/// round that had it before, and have begun their rounds together since.
class Arrivals {
 public:
  struct Shape {
    std::uint64_t buffers = 0;
    std::uint64_t bytes = 0;  ///< of each buffer
    std::uint64_t lanes = 0;
  };
  /// Bytes of shared memory that they take in all.
  [[nodiscard]] static std::uint64_t footprint(const Shape& shape, std::uint64_t members);

  /// Collective over `group`, the ranks that share them; nullptr: this rank alone. Error(memory)
  /// on all of them.
  Arrivals(const Shape& shape, comm::Communicator* group);

  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  [[nodiscard]] std::uint64_t buffers() const noexcept { return shape_.buffers; }

  /// Has samples come into a device's memory, as large as buffers_memory(). They keep their
  /// addresses in the host's, where only what the host looks at is filled in. Not with others.
  void mirror_to(std::span<std::byte> device);
  [[nodiscard]] bool mirrored() const noexcept { return !device_.empty(); }
  /// Where in the device's memory the bytes of room() are.
  [[nodiscard]] std::span<std::byte> mirror(std::span<const std::byte> room) const;
  [[nodiscard]] std::span<std::byte> buffers_memory() const;

  /// This rank needs what comes on a lane in the round. \param round counted from 0
  void want(std::uint64_t round, std::uint64_t lane);
  /// It has said so of all that it needs.
  void wants_told(std::uint64_t round);
  /// Whether all ranks of the group have.
  [[nodiscard]] bool wants_known(std::uint64_t round) const;
  [[nodiscard]] bool wanted(std::uint64_t round, std::uint64_t lane) const;

  /// Room for a message. Error(internal) where there is too little, (memory) where the node has
  /// none left.
  [[nodiscard]] std::span<std::byte> room(std::uint64_t round, std::uint64_t bytes);
  /// It has come, to this room.
  void arrived(std::uint64_t round, std::uint64_t lane, std::span<const std::byte> message);
  /// The message that has come on a lane in the round; empty as long as it has not.
  [[nodiscard]] std::span<const std::byte> message(std::uint64_t round, std::uint64_t lane) const;

  /// Takes the first bytes of every buffer from the system, ahead of need. Not of those that are
  /// mirrored: most of what they have room for is never there.
  void prepare(std::uint64_t bytes);
  /// Whether other ranks have them too.
  [[nodiscard]] bool shared() const noexcept { return members_ > 1; }
  /// The address range, for the accounting of resident memory.
  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }
  /// A rank's share of the bytes that have ever been in use.
  [[nodiscard]] std::uint64_t peak_share() const;
  /// Lets the memory be, for ever: others will not come to free it, or something still writes it.
  void abandon();

 private:
  struct Lane {  // all zero at first; rounds are counted from 1 here
    std::uint64_t wanted = 0;
    std::uint64_t arrived = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  struct Buffer {
    std::uint64_t used = 0;  // the round and the bytes
    std::uint64_t peak = 0;
  };
  [[nodiscard]] Lane& lane(std::uint64_t round, std::uint64_t lane) const;
  [[nodiscard]] Buffer& buffer(std::uint64_t round) const;
  [[nodiscard]] std::uint64_t& told(std::uint64_t member) const;
  [[nodiscard]] std::span<std::byte> data(std::uint64_t round) const;
  void touch(std::uint64_t round, std::uint64_t bytes);

  Shape shape_;
  std::uint64_t members_;
  std::uint64_t member_;
  std::unique_ptr<comm::SharedMemory> shared_;
  std::optional<PrivateMemory> private_;
  std::span<std::byte> memory_;
  std::span<std::byte> device_;
  std::vector<std::uint64_t> touched_;  // by buffer: bytes that are there for this rank
};

}  // namespace faro::exchange
