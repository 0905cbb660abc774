// What a round makes for a rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "format/format.hpp"

namespace faro::exchange {

/// Where a sample of a batch lies: in the node's arena, or in the round's arrival buffer. Both are
/// kept until the batch's step is released.
struct SampleRef {
  std::span<const std::byte> bytes;
  std::uint64_t number = 0;  ///< in the data set
  bool pad = false;
  bool starts_shard = false;
  format::Outline outline{};  ///< none where it came from another node
};

/// A rank's slice of one step.
struct LocalBatch {
  std::uint64_t epoch = 0;  ///< index in the run
  std::uint64_t step = 0;   ///< in the epoch
  std::uint64_t first_slot = 0;
  std::vector<SampleRef> samples;  ///< in slot order
};

}  // namespace faro::exchange
