#include <algorithm>

#include "base/error.hpp"
#include "cuda/gather.hpp"
#include "placement/placement.hpp"

namespace faro::placement {
namespace {

// An image of unknown size that is larger than this and than its tensor is made on the host, rather
// than that page-locked memory were kept for max_pixels of each sample. 591 x 591 in colour: most
// photographs of ImageNet.
constexpr std::uint64_t largest_image = 1 << 20;

/// Places things one behind the other; gives where this one begins.
std::uint64_t append(std::uint64_t& end, std::uint64_t bytes, std::uint64_t count) {
  constexpr auto gap = Layout::alignment - 1;
  const auto begin = end;
  const auto next =
      checked_add(begin, checked_mul(bytes, count, ErrorCode::memory), ErrorCode::memory);
  end = align_up(checked_add(next, gap, ErrorCode::memory) - gap, Layout::alignment);
  return begin;
}

void plan_staging(Layout& layout, std::span<const transform::Program> programs,
                  std::uint64_t entries) {
  std::uint64_t kernels = 0;
  for (const auto& program : programs) {
    auto slot = program.bytes();
    if (!program.needs_host()) {
      ++kernels;
      slot = std::max(slot, std::min(program.most_decoded_bytes(), largest_image));
      slot = align_up(checked_add(slot, 15, ErrorCode::memory) - 15, 16);
    }
    layout.slot_bytes.push_back(slot);
    layout.staging.push_back(append(layout.staging_bytes, slot, layout.samples));
  }
  for (const auto& program : programs) {
    if (!program.ragged()) continue;
    layout.staging.push_back(append(layout.staging_bytes, sizeof(std::int64_t), entries));
  }
  layout.notes_bytes = checked_mul(checked_mul(kernels, layout.samples, ErrorCode::memory),
                                   sizeof(cuda::GatherSample), ErrorCode::memory);
  layout.notes = append(layout.staging_bytes, layout.notes_bytes, 1);
  layout.device_notes = append(layout.batch_bytes, layout.notes_bytes, 1);
  layout.pinned_bytes = checked_mul(layout.staging_bytes, layout.batches, ErrorCode::memory);
}

}  // namespace

Layout plan_layout(std::span<const transform::Program> programs, std::uint64_t samples,
                   std::uint64_t batches, bool device) {
  Layout layout;
  layout.samples = samples;
  layout.batches = batches;
  const auto entries = checked_add(samples, 1, ErrorCode::memory);  // of a ragged tensor's offsets
  for (const auto& program : programs) {
    layout.offsets.push_back(append(layout.batch_bytes, program.bytes(), samples));
  }
  for (const auto& program : programs) {
    if (!program.ragged()) continue;
    layout.offsets.push_back(append(layout.batch_bytes, sizeof(std::int64_t), entries));
  }
  if (device) plan_staging(layout, programs, entries);
  layout.ring_bytes = checked_mul(layout.batch_bytes, batches, ErrorCode::memory);
  return layout;
}

}  // namespace faro::placement
