// Whether MPI carries device memory: not believed, but tried.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comm/comm.hpp"
#include "cuda/device.hpp"

namespace faro::loader {

using OpenDevice = std::function<std::shared_ptr<cuda::Device>()>;

/// Sends device memory from the first rank of a node to the second, and looks at what has come; in
/// words. For people alone: arrivals are in host memory, whatever comes of it. Collective over the
/// node; never an error.
/// \param says  what MPI says of itself. Nothing is sent unless it says yes: it would take the
///              address for one of the host's.
/// \param open  this rank's device; empty: it has none
[[nodiscard]] std::string try_device_messages(comm::Communicator& node, std::optional<bool> says,
                                              const OpenDevice& open, double patience_seconds = 10);

}  // namespace faro::loader
