#include "base/error.hpp"
#include "placement/placement.hpp"

namespace faro::placement {

Layout plan_layout(std::span<const transform::Program> programs, std::uint64_t samples,
                   std::uint64_t batches) {
  Layout layout;
  layout.samples = samples;
  layout.batches = batches;
  constexpr auto gap = Layout::alignment - 1;
  const auto add = [&](std::uint64_t bytes, std::uint64_t count) {
    layout.offsets.push_back(layout.batch_bytes);
    const auto end = checked_add(layout.batch_bytes, checked_mul(bytes, count, ErrorCode::memory),
                                 ErrorCode::memory);
    layout.batch_bytes =
        align_up(checked_add(end, gap, ErrorCode::memory) - gap, Layout::alignment);
  };
  for (const auto& program : programs) add(program.bytes(), samples);
  for (const auto& program : programs) {
    if (program.ragged()) add(sizeof(std::int64_t), checked_add(samples, 1, ErrorCode::memory));
  }
  layout.ring_bytes = checked_mul(layout.batch_bytes, batches, ErrorCode::memory);
  return layout;
}

}  // namespace faro::placement
