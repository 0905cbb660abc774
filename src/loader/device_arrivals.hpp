// Other nodes' samples in a device's memory: whether they come there, and what the host then sees.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/comm.hpp"
#include "cuda/claim.hpp"
#include "cuda/device.hpp"
#include "exchange/message.hpp"
#include "faro/config.hpp"
#include "format/format.hpp"
#include "transform/transform.hpp"

namespace faro::loader {

struct DeviceArrivals {
  std::shared_ptr<cuda::Device> device;
  std::vector<transform::Program> programs;  ///< that read the samples
};

/// Where they come, and why there.
struct ArrivalChoice {
  std::unique_ptr<cuda::Claim> claim;  ///< on the device; nullptr: they come into the host's memory
  std::string text;                    ///< for people; empty where all ranks are on one node
};

/// Collective: the same place on all ranks. Error(invalid_argument), on all of them, where one asks
/// for the device's and the tensors, or what else bears on it, are not the same on all.
/// \param device this rank's; nullptr: tensors are made on the host, as all ranks' are then
/// \param says   what MPI says of itself
[[nodiscard]] ArrivalChoice choose_arrivals(const TensorConfig& tensors, const Config& config,
                                            std::span<const transform::Program> programs,
                                            comm::Communicator& world,
                                            const std::shared_ptr<cuda::Device>& device,
                                            std::optional<bool> says);

/// What the host need not see of a sample, as a kernel alone reads it: the largest such part of one
/// of its fields. Nothing of a sample that is not whole. Keeps a reference to the format.
[[nodiscard]] exchange::Hide make_hide(const format::Format& format,
                                       std::vector<transform::Program> programs);

}  // namespace faro::loader
