// Interface of order/: the epoch as a function. Pure arithmetic: nothing here reads, sends or waits.
//
//   position --(steps)--> step, slot, rank        position --(window's permutation)--> sample
//
// An epoch permutes the blocks; their place in it is the block's `turn`. Consecutive turns form
// windows; the samples of a window are permuted inside it. Positions number the epoch's sequence.
// Position -> sample depends on (blocks, seed, epoch, window) alone: never on the number of ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "faro/config.hpp"
#include "manifest/manifest.hpp"

namespace faro::order {

/// What a key is for; part of what is hashed, so that no two uses share a key.
enum class Purpose : std::uint64_t { blocks = 1, samples = 2 };

/// A 64-bit key hashed from all four numbers (never their sum).
[[nodiscard]] std::uint64_t derive_key(std::uint64_t seed, std::uint64_t epoch, Purpose purpose,
                                       std::uint64_t index = 0);

/// A keyed bijection of [0, size) with O(1) memory and an inverse as cheap: a mixed-radix Feistel
/// network of 6 rounds, or a Fisher-Yates table where size is small (Feistel is biased there).
/// Thread safety: const members.
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t key);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// Image of i < size().
  [[nodiscard]] std::uint64_t operator()(std::uint64_t i) const noexcept;
  /// The i with (*this)(i) == image.
  [[nodiscard]] std::uint64_t inverse(std::uint64_t image) const noexcept;

 private:
  std::uint64_t size_;
  std::uint64_t key_;
  std::uint64_t a_ = 0;
  std::uint64_t b_ = 0;
  std::vector<std::uint32_t> table_;    // small sizes only: image of i
  std::vector<std::uint32_t> inverse_;  // small sizes only
};

/// Consecutive turns that are shuffled together.
struct WindowSpan {
  std::uint64_t first_turn = 0;
  std::uint64_t turns = 0;
  std::uint64_t first_position = 0;
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;  ///< of its blocks
};

/// A sample's place: the turn of its block, and its index in the block.
struct Place {
  std::uint64_t turn = 0;
  std::uint64_t index = 0;
  bool operator==(const Place&) const = default;
};

/// How blocks are given to ranks. Both balance bytes: the least loaded rank takes the next block,
/// so that any run of turns loads no rank by more than its share and two blocks.
enum class Readers {
  by_turn,   ///< in the epoch's order: windows that come and go
  by_block,  ///< in the manifest's order: the same reader in every epoch, for data that stays
};

/// The order of one epoch. O(blocks) memory (20 bytes each), none per sample.
/// Keeps a view of the blocks, which must outlive it. Thread safety: const members.
class Epoch {
 public:
  /// \param window_bytes a window takes turns while their bytes do not exceed it, one at least;
  ///        at least the bytes of the data set: one window, as Window::Kind::full
  Epoch(std::span<const manifest::Block> blocks, std::uint64_t seed, std::uint64_t epoch,
        std::uint64_t window_bytes, std::uint32_t ranks, Readers readers);

  [[nodiscard]] std::uint64_t number() const noexcept { return epoch_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] std::uint64_t samples() const noexcept;
  [[nodiscard]] std::uint64_t turns() const noexcept { return blocks_.size(); }
  /// Index of the block whose turn it is.
  [[nodiscard]] std::uint64_t block(std::uint64_t turn) const;
  [[nodiscard]] std::uint64_t turn_of_block(std::uint64_t block) const;
  /// The rank that reads the block of a turn.
  [[nodiscard]] std::uint32_t reader(std::uint64_t turn) const { return reader_[turn]; }

  [[nodiscard]] std::uint64_t windows() const noexcept { return windows_.size(); }
  [[nodiscard]] const WindowSpan& window(std::uint64_t w) const { return windows_[w]; }
  [[nodiscard]] std::uint64_t window_of_position(std::uint64_t position) const;
  [[nodiscard]] std::uint64_t window_of_turn(std::uint64_t turn) const;

 private:
  friend class WindowOrder;
  std::span<const manifest::Block> blocks_;
  std::uint64_t seed_;
  std::uint64_t epoch_;
  Permutation turn_to_block_;
  std::vector<std::uint32_t> reader_;       // by turn
  std::vector<std::uint64_t> first_local_;  // by turn: samples before it, in the epoch's turns
  std::vector<WindowSpan> windows_;
};

/// The order inside one window; cheap to make, kept while the window is worked on.
/// Keeps a reference to the epoch.
class WindowOrder {
 public:
  WindowOrder(const Epoch& epoch, std::uint64_t window);
  [[nodiscard]] const WindowSpan& span() const noexcept { return span_; }
  /// The sample at a position of the window (the epoch's numbering).
  [[nodiscard]] Place place(std::uint64_t position) const;
  /// The position of a sample of the window.
  [[nodiscard]] std::uint64_t position(Place place) const;

 private:
  const Epoch& epoch_;
  WindowSpan span_;
  Permutation permutation_;
};

/// Positions into steps, slots and ranks, for one epoch of `samples` samples. A pure value.
class Steps {
 public:
  struct Slice {
    std::uint64_t first = 0;  ///< slot
    std::uint64_t last = 0;   ///< one past
    [[nodiscard]] std::uint64_t size() const noexcept { return last - first; }
  };
  /// \param global_batch samples of a full step, at least 1
  Steps(std::uint64_t samples, std::uint64_t global_batch, std::uint32_t ranks, EndPolicy end);

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// Positions that are delivered (without pads): the samples, less what `drop` leaves out.
  [[nodiscard]] std::uint64_t delivered() const noexcept { return delivered_; }
  [[nodiscard]] std::uint64_t global_batch() const noexcept { return global_batch_; }
  /// Slots of a step: the global batch, less in a partial last one.
  [[nodiscard]] std::uint64_t slots(std::uint64_t step) const noexcept;
  /// A rank's slots of a step: contiguous, in rank order, sizes differing by at most one.
  [[nodiscard]] Slice slice(std::uint64_t step, std::uint32_t rank) const noexcept;
  [[nodiscard]] std::uint32_t rank_of_slot(std::uint64_t step, std::uint64_t slot) const noexcept;
  [[nodiscard]] bool is_pad(std::uint64_t step, std::uint64_t slot) const noexcept;
  /// The position whose sample fills a slot. A pad repeats the step's own samples from its start.
  [[nodiscard]] std::uint64_t position(std::uint64_t step, std::uint64_t slot) const noexcept;

 private:
  std::uint64_t samples_;
  std::uint64_t global_batch_;
  std::uint32_t ranks_;
  EndPolicy end_;
  std::uint64_t count_;
  std::uint64_t delivered_;
};

}  // namespace faro::order
