// Whether MPI carries messages to device memory: not believed, but tried.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "comm/comm.hpp"
#include "cuda/device.hpp"

namespace faro::loader {

using OpenDevice = std::function<std::shared_ptr<cuda::Device>()>;

struct DeviceMessages {
  bool carried = false;
  std::string text;          ///< for people: "yes: ...", "no: ...", "not tried: ..."
  bool left_behind = false;  ///< the communicator is, and MPI may still write to the device
};

/// Sends the host's memory to the device memory of another rank, a few bytes and many, and looks at
/// what has come.
/// Collective; the same on all ranks; never an error.
/// \param says    what MPI says of itself. Nothing is sent unless it says yes: it would take the
///                address for one of the host's.
/// \param open    this rank's device; empty: it has none
/// \param senders by rank: who sends to it; -1: nobody
[[nodiscard]] DeviceMessages try_device_messages(comm::Communicator& comm, std::optional<bool> says,
                                                 const OpenDevice& open,
                                                 std::span<const int> senders,
                                                 double patience_seconds = 10);

}  // namespace faro::loader
