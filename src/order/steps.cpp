#include <algorithm>

#include "base/error.hpp"
#include "order/order.hpp"

namespace faro::order {

Steps::Steps(std::uint64_t samples, std::uint64_t global_batch, std::uint32_t ranks, EndPolicy end)
    : samples_(samples), global_batch_(global_batch), ranks_(ranks), end_(end) {
  check(global_batch > 0, ErrorCode::invalid_argument, "a global batch needs at least one sample");
  check(ranks > 0, ErrorCode::invalid_argument, "steps need at least one rank");
  count_ = samples / global_batch;
  delivered_ = samples;
  if (samples % global_batch == 0) return;
  if (end == EndPolicy::drop) {
    delivered_ = count_ * global_batch;
  } else {
    ++count_;
  }
}

std::uint64_t Steps::own_samples(std::uint64_t step) const noexcept {
  return std::min(global_batch_, samples_ - step * global_batch_);
}

std::uint64_t Steps::slots(std::uint64_t step) const noexcept {
  return end_ == EndPolicy::partial ? own_samples(step) : global_batch_;
}

// Every rank takes `each` slots, and the first `extra` ranks one more. Unlike slots * rank / ranks
// this needs no product that could overflow: rank * each is at most the number of slots.

Steps::Slice Steps::slice(std::uint64_t step, std::uint32_t rank) const noexcept {
  const std::uint64_t all = slots(step);
  const std::uint64_t each = all / ranks_;
  const std::uint64_t extra = all % ranks_;
  const std::uint64_t first = rank * each + std::min<std::uint64_t>(rank, extra);
  return {first, first + each + (rank < extra ? 1 : 0)};
}

std::uint32_t Steps::rank_of_slot(std::uint64_t step, std::uint64_t slot) const noexcept {
  const std::uint64_t all = slots(step);
  const std::uint64_t each = all / ranks_;
  const std::uint64_t extra = all % ranks_;
  const std::uint64_t of_larger = extra * (each + 1);
  // Where each is 0 all slots are of the larger slices.
  const std::uint64_t rank =
      slot < of_larger ? slot / (each + 1) : extra + (slot - of_larger) / each;
  return static_cast<std::uint32_t>(rank);
}

bool Steps::is_pad(std::uint64_t step, std::uint64_t slot) const noexcept {
  return slot >= own_samples(step);
}

std::uint64_t Steps::position(std::uint64_t step, std::uint64_t slot) const noexcept {
  const std::uint64_t own = own_samples(step);
  return step * global_batch_ + (slot < own ? slot : slot % own);
}

}  // namespace faro::order
