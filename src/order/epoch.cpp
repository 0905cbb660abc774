#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "base/error.hpp"
#include "order/order.hpp"

namespace faro::order {

Epoch::Epoch(std::span<const manifest::Block> blocks, std::uint64_t seed, std::uint64_t epoch,
             std::uint64_t window_bytes, std::uint32_t ranks, Readers readers)
    : blocks_(blocks), seed_(seed), epoch_(epoch) {
  check(ranks > 0, ErrorCode::invalid_argument, "an epoch needs at least one rank");
  check(blocks.size() <= std::numeric_limits<std::uint32_t>::max(), ErrorCode::invalid_argument,
        "{} blocks are too many (fewer than 2^32): index with larger ones", blocks.size());
  permute_blocks();
  number_positions();
  make_guesses();
  cut_windows(window_bytes);
  choose_readers(ranks, readers);
}

void Epoch::permute_blocks() {
  const Permutation permutation(blocks_.size(), derive_key(seed_, epoch_, Purpose::blocks));
  block_.resize(blocks_.size());
  turn_.resize(blocks_.size());
  for (std::uint64_t turn = 0; turn < turns(); ++turn) {
    const std::uint64_t block = permutation(turn);
    block_[turn] = static_cast<std::uint32_t>(block);
    turn_[block] = static_cast<std::uint32_t>(turn);
  }
}

void Epoch::number_positions() {
  first_position_.resize(turns() + 1);
  for (std::uint64_t turn = 0; turn < turns(); ++turn) {
    first_position_[turn + 1] =
        checked_add(first_position_[turn], blocks_[block_[turn]].count, ErrorCode::format);
  }
}

// As many as there are turns, or half as many: blocks alike in size leave one or two turns between.
void Epoch::make_guesses() {
  if (samples() == 0) return;
  while (samples() >> guess_shift_ > turns()) ++guess_shift_;
  std::uint64_t turn = 0;
  for (std::uint64_t at = 0; at <= (samples() - 1) >> guess_shift_; ++at) {
    while (first_position_[turn + 1] <= at << guess_shift_) ++turn;
    guess_.push_back(static_cast<std::uint32_t>(turn));
  }
  guess_.push_back(static_cast<std::uint32_t>(turns() - 1));
}

std::uint64_t Epoch::turn_of_sample(std::uint64_t sample) const {
  const auto at = sample >> guess_shift_;
  const auto first = first_position_.begin() + 1;
  const auto after = std::upper_bound(first + guess_[at], first + guess_[at + 1], sample);
  return static_cast<std::uint64_t>(after - first);
}

void Epoch::cut_windows(std::uint64_t window_bytes) {
  for (std::uint64_t turn = 0; turn < turns(); ++turn) {
    const manifest::Block& block = blocks_[block_[turn]];
    // Subtraction, as a sum may overflow; a single block may be larger than the window.
    const bool fits = !windows_.empty() && windows_.back().bytes <= window_bytes &&
                      block.length <= window_bytes - windows_.back().bytes;
    if (!fits) windows_.push_back({.first_turn = turn, .first_position = first_position_[turn]});
    WindowSpan& window = windows_.back();
    ++window.turns;
    window.samples += block.count;
    window.bytes = checked_add(window.bytes, block.length, ErrorCode::format);
  }
}

void Epoch::choose_readers(std::uint32_t ranks, Readers readers) {
  reader_.resize(turns());
  using Load = std::pair<std::uint64_t, std::uint32_t>;  // bytes, rank: the order of ties
  std::vector<Load> loads;
  // Of equals the lowest is taken, so ranks beyond the number of blocks never get one.
  const std::uint64_t takers = std::min<std::uint64_t>(ranks, turns());
  for (std::uint32_t rank = 0; rank < takers; ++rank) loads.emplace_back(0, rank);
  std::priority_queue<Load, std::vector<Load>, std::greater<>> least(std::greater<>{},
                                                                     std::move(loads));
  for (std::uint64_t i = 0; i < turns(); ++i) {
    const std::uint64_t turn = readers == Readers::by_turn ? i : turn_[i];
    const auto [bytes, rank] = least.top();
    least.pop();
    reader_[turn] = rank;
    least.emplace(bytes + blocks_[block_[turn]].length, rank);
  }
}

std::uint64_t Epoch::window_of_position(std::uint64_t position) const {
  check(position < samples(), ErrorCode::internal, "position {} of an epoch of {} samples",
        position, samples());
  const auto after = std::ranges::upper_bound(windows_, position, {}, &WindowSpan::first_position);
  return static_cast<std::uint64_t>(after - windows_.begin()) - 1;
}

std::uint64_t Epoch::window_of_turn(std::uint64_t turn) const {
  check(turn < turns(), ErrorCode::internal, "turn {} of an epoch of {} turns", turn, turns());
  const auto after = std::ranges::upper_bound(windows_, turn, {}, &WindowSpan::first_turn);
  return static_cast<std::uint64_t>(after - windows_.begin()) - 1;
}

WindowOrder::WindowOrder(const Epoch& epoch, std::uint64_t window)
    : epoch_(epoch),
      span_(epoch.window(window)),
      permutation_(span_.samples,
                   derive_key(epoch.seed(), epoch.number(), Purpose::samples, window)) {}

Place WindowOrder::place(std::uint64_t position) const {
  const std::uint64_t i = position - span_.first_position;  // wraps where it lies before
  check(i < span_.samples, ErrorCode::internal, "position {} is not in its window", position);
  const std::uint64_t sample = span_.first_position + permutation_(i);
  const auto turn = epoch_.turn_of_sample(sample);
  return {.turn = turn, .index = sample - epoch_.first_position_[turn]};
}

std::uint64_t WindowOrder::position(Place place) const {
  const std::uint64_t turn = place.turn - span_.first_turn;  // wraps where it lies before
  check(turn < span_.turns, ErrorCode::internal, "turn {} is not in its window", place.turn);
  const std::uint64_t first = epoch_.first_position_[place.turn];
  check(place.index < epoch_.first_position_[place.turn + 1] - first, ErrorCode::internal,
        "sample {} is not in the block of turn {}", place.index, place.turn);
  return span_.first_position + permutation_.inverse(first + place.index - span_.first_position);
}

}  // namespace faro::order
