// Where a rank's tensors lie: in the memory of the GPU that topology/ gives it, or in the host's.
#pragma once

#include <functional>
#include <string>

#include "comm/comm.hpp"
#include "cuda/backend.hpp"
#include "topology/topology.hpp"

namespace faro::loader {

struct DeviceChoice {
  int number = -1;   ///< CUDA's ordinal in this process; -1: host memory
  std::string text;  ///< that and why so, for people: "cuda 0: NVIDIA H100 ...", "host (...)"
};

/// The GPU of a rank that was placed on a machine which has all of CUDA's devices
/// (topology::add_gpus). Plain arithmetic.
[[nodiscard]] DeviceChoice device_of(const topology::Machine& machine,
                                     const topology::Placement& place,
                                     const cuda::Backend& backend);

/// How samples come into the tensors of that memory, for people.
[[nodiscard]] std::string path_to(const DeviceChoice& device);

/// Collective. `auto`: the ranks' GPUs, or, where a single rank of the job has none, host memory on
/// all of them; gradients could not be summed otherwise.
/// \param asked  auto, host or cuda (TensorConfig::device)
/// \param node   the ranks of `world` that share this one's machine
/// \param open   makes a device ready; a rank on which it throws has none
/// Errors, the same on all ranks: device for `cuda` where a rank has no GPU; invalid_argument where
/// ranks ask for different ones.
[[nodiscard]] DeviceChoice choose_device(const std::string& asked, comm::Communicator& world,
                                         comm::Communicator& node,
                                         const std::function<void(int)>& open,
                                         const cuda::Backend& backend = cuda::probe());

}  // namespace faro::loader
