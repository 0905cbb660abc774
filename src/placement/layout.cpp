#include "base/error.hpp"
#include "placement/placement.hpp"

namespace faro::placement {

Layout plan_layout(std::span<const transform::Program> programs, std::uint64_t samples,
                   std::uint64_t batches) {
  Layout layout;
  layout.samples = samples;
  layout.batches = batches;
  constexpr auto gap = Layout::alignment - 1;
  for (const auto& program : programs) {
    layout.offsets.push_back(layout.batch_bytes);
    const auto bytes = checked_mul(program.bytes(), samples, ErrorCode::memory);
    const auto end = checked_add(layout.batch_bytes, bytes, ErrorCode::memory);
    layout.batch_bytes =
        align_up(checked_add(end, gap, ErrorCode::memory) - gap, Layout::alignment);
  }
  layout.ring_bytes = checked_mul(layout.batch_bytes, batches, ErrorCode::memory);
  return layout;
}

}  // namespace faro::placement
