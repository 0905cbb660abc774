// The machine that a run is planned for.
#pragma once

#include <cstdint>

namespace faro::loader {

/// How many ranks share memory, as far as the plan needs to know.
struct Machine {
  std::uint32_t ranks = 1;
  std::uint32_t largest_node = 1;     ///< most ranks on one node, as node_ranks divides it
  std::uint32_t smallest_group = 1;   ///< fewest ranks on one, as node_ranks divides it
  std::uint32_t own_group = 1;        ///< ranks on this rank's node: not the same on all ranks
  std::uint64_t budget = UINT64_MAX;  ///< bytes of a rank
  std::uint32_t smallest_node = 1;    ///< fewest ranks of one, however node_ranks divides it
  bool device_arrivals = false;       ///< other nodes' samples come into devices' memory
  std::uint64_t shared = UINT64_MAX;  ///< of them in the node's shared memory, for its arena
};

}  // namespace faro::loader
