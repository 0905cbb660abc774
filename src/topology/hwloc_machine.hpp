// Internal to topology/: from hwloc's tree to a Machine.
#pragma once

#include <hwloc.h>

#include "topology/topology.hpp"

namespace faro::topology {

[[nodiscard]] CpuSet from_hwloc(hwloc_const_bitmap_t bits);
[[nodiscard]] Machine read_machine(hwloc_topology_t topology);

}  // namespace faro::topology
