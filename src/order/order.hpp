// Interface of order/: the epoch as a function. Pure arithmetic: nothing here reads, sends or
// waits.
//
//   position --(steps)--> step, slot, rank        position --(window's permutation)--> sample
//
// An epoch permutes the blocks; their place in it is the block's `turn`. Consecutive turns form
// windows; the samples of a window are permuted inside it. Positions number the epoch's sequence.
// Position -> sample depends on (blocks, seed, epoch, window) alone: never on the number of ranks.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "faro/config.hpp"
#include "manifest/manifest.hpp"

namespace faro::order {

/// What a key is for; part of what is hashed, so that no two uses share a key.
enum class Purpose : std::uint64_t { blocks = 1, samples = 2, augmentation = 3 };

/// A 64-bit key hashed from all four numbers (never their sum): a chain of SplitMix64 finalisers.
/// \param index tells apart the uses of one purpose in one epoch, as the windows are
[[nodiscard]] std::uint64_t derive_key(std::uint64_t seed, std::uint64_t epoch, Purpose purpose,
                                       std::uint64_t index = 0);

/// A keyed bijection of [0, size) with O(1) memory and an inverse as cheap: a mixed-radix Feistel
/// network, or a Fisher-Yates table where size is small. About 18 ns an index, either way.
///
/// The network writes i as (l, r) in Z_a x Z_b, a = ceil(sqrt(size)), b = ceil(size / a), and adds
/// alternately a hash of r to l (mod a) and a hash of l to r (mod b). Every such round can be
/// undone, so this is a bijection of [0, a b); a value of size or more is sent through again until
/// it falls below (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains",
/// 2002). Fewer than a values of a b are walked over, so this is rare.
///
/// Any size is valid; of size 0 there is no index to ask for. The key decides everything: the same
/// numbers on every machine, and in every version of faro that reads the same resume state.
/// Thread safety: const members.
class Permutation {
 public:
  /// Four fail: differences of images b apart have a chi-square of 480 times its degrees of freedom
  /// (size 65,537, 500 keys). Six show nothing there in 200 million differences.
  static constexpr std::size_t rounds = 6;
  /// The largest size that is a table. Small networks are biased: the same statistic (63 degrees of
  /// freedom, standard deviation 11) is off by 0.02 an epoch at size 1,025, by 0.006 at 4,097, by
  /// less above: thousands of epochs would be needed to see it. A table of 4,096 takes 15 us.
  static constexpr std::uint64_t largest_table = 4096;

  Permutation(std::uint64_t size, std::uint64_t key);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// Image of i < size().
  [[nodiscard]] std::uint64_t operator()(std::uint64_t i) const noexcept;
  /// The i with (*this)(i) == image; image < size().
  [[nodiscard]] std::uint64_t inverse(std::uint64_t image) const noexcept;

 private:
  void make_table(std::uint64_t key);

  std::uint64_t size_;
  std::uint64_t a_ = 0;
  std::uint64_t b_ = 0;
  std::uint64_t b_reciprocal_ = 0;  // floor((2^64 - 1) / b)
  std::array<std::uint64_t, rounds> round_keys_{};
  std::vector<std::uint16_t> table_;    // small sizes only: image of i
  std::vector<std::uint16_t> inverse_;  // small sizes only
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

/// How blocks are given to ranks: one after the other to the rank with the fewest bytes so far, the
/// lowest of equals. Loads never differ by more than the largest block (L), so a run of consecutive
/// blocks in the order of giving loads no rank by more than its share and 2 L, and all blocks
/// together by no more than its share and L.
enum class Readers {
  by_turn,   ///< in the epoch's order, so that every window is balanced: windows that come and go
  by_block,  ///< in the manifest's order: the same reader in every epoch, for data that stays
};

/// The order of one epoch. Memory: 24 bytes a block and 40 a window, none per sample.
/// Turns and blocks that are out of range are not checked for; positions are (Error(internal)).
/// Keeps a view of the blocks, which must outlive it. Thread safety: const members.
class Epoch {
 public:
  /// \param window_bytes a window takes turns while their bytes do not exceed it, one at least;
  ///        at least the bytes of the data set: one window, as Window::Kind::full
  /// \param ranks at least 1
  /// Error(invalid_argument): no ranks, or 2^32 blocks or more.
  Epoch(std::span<const manifest::Block> blocks, std::uint64_t seed, std::uint64_t epoch,
        std::uint64_t window_bytes, std::uint32_t ranks, Readers readers);

  [[nodiscard]] std::uint64_t number() const noexcept { return epoch_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] std::uint64_t samples() const noexcept { return first_position_.back(); }
  [[nodiscard]] std::uint64_t turns() const noexcept { return blocks_.size(); }
  /// Index of the block whose turn it is.
  [[nodiscard]] std::uint64_t block(std::uint64_t turn) const { return block_[turn]; }
  [[nodiscard]] std::uint64_t turn_of_block(std::uint64_t block) const { return turn_[block]; }
  /// The rank that reads the block of a turn.
  [[nodiscard]] std::uint32_t reader(std::uint64_t turn) const { return reader_[turn]; }

  [[nodiscard]] std::uint64_t windows() const noexcept { return windows_.size(); }
  [[nodiscard]] const WindowSpan& window(std::uint64_t w) const { return windows_[w]; }
  [[nodiscard]] std::uint64_t window_of_position(std::uint64_t position) const;
  [[nodiscard]] std::uint64_t window_of_turn(std::uint64_t turn) const;

 private:
  friend class WindowOrder;
  void permute_blocks();
  void number_positions();
  void make_guesses();
  /// The turn of a sample, numbered in the order of turns.
  [[nodiscard]] std::uint64_t turn_of_sample(std::uint64_t sample) const;
  void cut_windows(std::uint64_t window_bytes);
  void choose_readers(std::uint32_t ranks, Readers readers);

  std::span<const manifest::Block> blocks_;
  std::uint64_t seed_;
  std::uint64_t epoch_;
  std::vector<std::uint32_t> block_;           // by turn
  std::vector<std::uint32_t> turn_;            // by block
  std::vector<std::uint32_t> reader_;          // by turn
  std::vector<std::uint64_t> first_position_;  // by turn: samples of the turns before; and the sum
  std::vector<std::uint32_t> guess_;  // turn of every 2^guess_shift_-th sample; and the last
  unsigned guess_shift_ = 0;
  std::vector<WindowSpan> windows_;
};

/// The order inside one window. Number its samples in turn order, as they are read, and its
/// positions from its first: the window's permutation goes forward from position to sample, so
/// place() is forward and position() the inverse. Both cost one permuted index; place() also a look
/// at the one or two turns that a table leaves.
/// Cheap to make (some 10 us at most), kept while the window is worked on. Keeps a reference to the
/// epoch. Thread safety: const members.
class WindowOrder {
 public:
  WindowOrder(const Epoch& epoch, std::uint64_t window);
  [[nodiscard]] const WindowSpan& span() const noexcept { return span_; }
  /// The sample at a position of the window (the epoch's numbering). Error(internal) outside it.
  [[nodiscard]] Place place(std::uint64_t position) const;
  /// The position of a sample of the window. Error(internal) outside it.
  [[nodiscard]] std::uint64_t position(Place place) const;

 private:
  const Epoch& epoch_;
  WindowSpan span_;
  Permutation permutation_;
};

/// Positions into steps, slots and ranks, for one epoch of `samples` samples. A pure value.
/// Arguments are in range: step < count(), slot < slots(step), rank < ranks. No arithmetic here
/// overflows, whatever the sizes.
class Steps {
 public:
  struct Slice {
    std::uint64_t first = 0;  ///< slot
    std::uint64_t last = 0;   ///< one past
    [[nodiscard]] std::uint64_t size() const noexcept { return last - first; }
  };
  /// \param global_batch samples of a full step, at least 1
  /// \param ranks at least 1; where there are more than slots, some slices are empty
  /// Error(invalid_argument): no batch or no ranks.
  Steps(std::uint64_t samples, std::uint64_t global_batch, std::uint32_t ranks, EndPolicy end);

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// Positions that are delivered (without pads): the samples, less what `drop` leaves out.
  [[nodiscard]] std::uint64_t delivered() const noexcept { return delivered_; }
  [[nodiscard]] std::uint64_t global_batch() const noexcept { return global_batch_; }
  /// Slots of a step: the global batch, less in a partial last one.
  [[nodiscard]] std::uint64_t slots(std::uint64_t step) const noexcept;
  /// A rank's slots of a step: contiguous, in rank order, sizes differing by at most one; the
  /// lower ranks take what does not divide.
  [[nodiscard]] Slice slice(std::uint64_t step, std::uint32_t rank) const noexcept;
  [[nodiscard]] std::uint32_t rank_of_slot(std::uint64_t step, std::uint64_t slot) const noexcept;
  /// Whether a slot repeats a sample; only in the last step, and only with EndPolicy::pad.
  [[nodiscard]] bool is_pad(std::uint64_t step, std::uint64_t slot) const noexcept;
  /// The position whose sample fills a slot. A pad repeats the step's own samples from its start.
  [[nodiscard]] std::uint64_t position(std::uint64_t step, std::uint64_t slot) const noexcept;

 private:
  /// The step's samples, each counted once: at least 1, at most the global batch.
  [[nodiscard]] std::uint64_t own_samples(std::uint64_t step) const noexcept;

  std::uint64_t samples_;
  std::uint64_t global_batch_;
  std::uint32_t ranks_;
  EndPolicy end_;
  std::uint64_t count_;
  std::uint64_t delivered_;
};

}  // namespace faro::order
