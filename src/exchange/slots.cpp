// A round's batches: for each slot of this rank's the sample that fills it, and where that lies.
#include "exchange/exchange.hpp"

namespace faro::exchange {

Exchange::Slot Exchange::find(std::uint64_t position) {
  const auto place = windows_.at_position(position).place(position);
  Slot slot{&manifest_.blocks[plan_->order.block(place.turn)], place.index,
            plan_->order.reader(place.turn), nullptr};
  const int node_rank = route_.node_rank(slot.reader);
  if (node_rank < 0) return slot;
  slot.begin = arena_.at(node_rank, plan_->address[place.turn]);
  prefetch_sample(slot.begin, *slot.block, slot.index);
  return slot;
}

void Exchange::fill_slots() {
  const auto& steps = plan_->steps;
  const auto rank = static_cast<std::uint32_t>(comm_.rank());
  batches_.clear();
  batches_.reserve(round_.last_step - round_.first_step);
  for (auto step = round_.first_step; step < round_.last_step; ++step) {
    if (asked_early_) hear_early();  // which brings it on
    const auto slice = steps.slice(step, rank);
    auto& batch = batches_.emplace_back(
        LocalBatch{round_.epoch, step, slice.first, std::vector<SampleRef>(slice.size())});
    // Places first: their extents lie anywhere in the arena, and come while others are computed.
    slots_.clear();
    for (auto slot = slice.first; slot < slice.last; ++slot) {
      slots_.push_back(find(steps.position(step, slot)));
    }
    for (auto slot = slice.first; slot < slice.last; ++slot) {
      const auto& found = slots_[slot - slice.first];
      auto& sample = batch.samples[slot - slice.first];
      sample.number = found.block->first_sample + found.index;
      sample.pad = steps.is_pad(step, slot);
      sample.starts_shard = found.block->offset == 0 && found.index == 0;
      if (found.begin != nullptr) {
        const auto stored = sample_of_block(found.begin, *found.block, found.index);
        sample.bytes = stored.bytes;
        sample.outline = stored.outline;
      } else {
        inbound_->expect(found.reader, sample);
      }
    }
  }
  if (inbound_) inbound_->all_expected();
}

}  // namespace faro::exchange
