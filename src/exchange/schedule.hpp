// What happens when, as a function: the epochs of a run with their orders, steps and rounds, and
// where each block lies in its reader's arena. Every rank computes all of it; nothing is
// negotiated.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "manifest/manifest.hpp"
#include "order/order.hpp"

namespace faro::exchange {

/// Bytes that a block takes in the arena: its own, and 32 for each sample's place in it.
[[nodiscard]] std::uint64_t footprint(const manifest::Block& block);
/// Where the samples' extents stand, from the block's first byte.
[[nodiscard]] std::uint64_t index_offset(const manifest::Block& block);

struct ScheduleOptions {
  std::uint64_t seed = 0;
  std::uint64_t first_epoch = 0;
  std::uint64_t epochs = 1;
  std::uint64_t window_bytes = 0;
  std::uint64_t global_batch = 1;
  EndPolicy end = EndPolicy::drop;
  std::uint32_t ranks = 1;
  std::uint64_t steps_per_round = 1;
  std::uint64_t leases = 1;    ///< batches that a consumer may work on at once
  std::uint64_t capacity = 0;  ///< bytes of a rank's arena, a multiple of 64
  bool resident = false;       ///< all blocks stay: read once, over all epochs
};

/// The order of an epoch, by its index in the run.
[[nodiscard]] order::Epoch order_of(const manifest::Manifest& manifest,
                                    const ScheduleOptions& options, std::uint64_t index);

/// One epoch of the run.
struct EpochPlan {
  order::Epoch order;
  order::Steps steps;
  std::uint64_t index = 0;  ///< in the run, from 0
  /// By turn: the block's virtual address in its reader's arena. Addresses only grow; the byte is
  /// at the address modulo the capacity, and no block wraps around the end.
  std::vector<std::uint64_t> address;
};

/// A run of steps of one epoch that are exchanged together.
struct Round {
  std::uint64_t epoch = 0;  ///< index in the run
  std::uint64_t first_step = 0;
  std::uint64_t last_step = 0;  ///< one past
};

/// Thread safe.
class Schedule {
 public:
  Schedule(const manifest::Manifest& manifest, const ScheduleOptions& options);

  [[nodiscard]] const ScheduleOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::uint64_t steps_per_epoch() const noexcept { return steps_; }
  [[nodiscard]] std::uint64_t rounds() const noexcept {
    return rounds_per_epoch_ * options_.epochs;
  }
  [[nodiscard]] Round round(std::uint64_t number) const;

  /// The plan of the epoch with that index. Epochs must be asked for in order for the first time.
  [[nodiscard]] std::shared_ptr<const EpochPlan> epoch(std::uint64_t index);
  /// Epochs below `index` are not asked for any more.
  void forget_before(std::uint64_t index);

 private:
  std::shared_ptr<const EpochPlan> make(std::uint64_t index);

  const manifest::Manifest& manifest_;
  ScheduleOptions options_;
  std::uint64_t steps_;
  std::uint64_t rounds_per_epoch_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<const EpochPlan>> plans_;
  std::uint64_t next_ = 0;                    // the epoch to be made next
  std::vector<std::uint64_t> tail_;           // by rank: the next free virtual address
  std::vector<std::uint64_t> block_address_;  // resident only: by block
};

}  // namespace faro::exchange
