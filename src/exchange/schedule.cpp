#include "exchange/schedule.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "format/format.hpp"

namespace faro::exchange {
namespace {

constexpr std::uint64_t line = 64;

/// Takes `bytes` at the tail of a ring of `capacity`, never across its end.
std::uint64_t take(std::uint64_t& tail, std::uint64_t bytes, std::uint64_t capacity) {
  if (tail % capacity + bytes > capacity) tail += capacity - tail % capacity;
  return std::exchange(tail, tail + bytes);
}

}  // namespace

std::uint64_t index_offset(const manifest::Block& block) {
  return align_up(block.length, sizeof(format::Extent));
}

std::uint64_t footprint(const manifest::Block& block) {
  return align_up(index_offset(block) + block.count * sizeof(format::Extent), line);
}

Schedule::Schedule(const manifest::Manifest& manifest, const ScheduleOptions& options)
    : manifest_(manifest),
      options_(options),
      steps_(
          order::Steps(manifest.samples, options.global_batch, options.ranks, options.end).count()),
      rounds_per_epoch_((steps_ + options.steps_per_round - 1) / options.steps_per_round),
      tail_(options.ranks, 0) {
  check(options.capacity % line == 0, ErrorCode::internal, "an arena of {} bytes",
        options.capacity);
}

Round Schedule::round(std::uint64_t number) const {
  const std::uint64_t first = number % rounds_per_epoch_ * options_.steps_per_round;
  return {number / rounds_per_epoch_, first, std::min(first + options_.steps_per_round, steps_)};
}

std::shared_ptr<const EpochPlan> Schedule::epoch(std::uint64_t index) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = plans_.find(index); found != plans_.end()) return found->second;
  check(index == next_, ErrorCode::internal, "epoch {} is asked for where {} is next", index,
        next_);
  ++next_;
  return plans_[index] = make(index);
}

void Schedule::forget_before(std::uint64_t index) {
  const std::scoped_lock lock(mutex_);
  plans_.erase(plans_.begin(), plans_.lower_bound(index));
}

order::Epoch order_of(const manifest::Manifest& manifest, const ScheduleOptions& options,
                      std::uint64_t index) {
  return {manifest.blocks,
          options.seed,
          options.first_epoch + index,
          options.window_bytes,
          options.ranks,
          options.resident ? order::Readers::by_block : order::Readers::by_turn};
}

std::shared_ptr<const EpochPlan> Schedule::make(std::uint64_t index) {
  const auto& blocks = manifest_.blocks;
  auto plan = std::make_shared<EpochPlan>(EpochPlan{
      order_of(manifest_, options_, index),
      order::Steps(manifest_.samples, options_.global_batch, options_.ranks, options_.end), index,
      std::vector<std::uint64_t>(blocks.size())});
  const auto& order = plan->order;
  if (options_.resident && block_address_.empty()) {
    block_address_.resize(blocks.size());
    for (std::uint64_t block = 0; block < blocks.size(); ++block) {
      const auto reader = order.reader(order.turn_of_block(block));
      block_address_[block] = take(tail_[reader], footprint(blocks[block]), options_.capacity);
    }
  }
  for (std::uint64_t turn = 0; turn < order.turns(); ++turn) {
    const auto block = order.block(turn);
    plan->address[turn] = options_.resident ? block_address_[block]
                                            : take(tail_[order.reader(turn)],
                                                   footprint(blocks[block]), options_.capacity);
  }
  return plan;
}

}  // namespace faro::exchange
