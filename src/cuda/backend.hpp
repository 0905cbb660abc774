// Interface of cuda/: what GPUs there are, and why none where there is none. CMake builds one of
// backend_cuda.cpp and backend_none.cpp behind it.
#pragma once

#include <string>
#include <vector>

namespace faro::cuda {

/// What this build and this machine can do with CUDA.
struct Backend {
  bool compiled = false;             ///< the build has the CUDA backend
  bool usable = false;               ///< and there is a driver with a device
  int devices = 0;                   ///< visible to this process (CUDA_VISIBLE_DEVICES)
  std::vector<std::string> bus_ids;  ///< of each on the PCI bus, "0000:17:00.0"; empty: not told
  std::vector<std::string> names;    ///< of each, "NVIDIA H100 80GB HBM3"
  std::string why;  ///< for people: the versions where usable, else what it fell back to and why
};

/// Asks the driver. Never throws for a missing one, and creates no context on any device.
[[nodiscard]] Backend probe();

}  // namespace faro::cuda
