// Collectives of GPUs, one a rank, without a type of NCCL's. Behind it: NCCL (nccl_cuda), and in
// tests an emulation on the emulated device's streams.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.hpp"
#include "cuda/device.hpp"

namespace faro::cuda {

/// Ranks with a GPU each, that do the same collectives in the same order. Work goes on a stream;
/// its memory is the device's. One thread at a time may use it.
///
/// Errors of all calls: device, that names the call; peer where the others are not there in time.
/// After one, or after failure() has told of one, nothing is left but abort().
class Collective {
 public:
  virtual ~Collective() = default;
  /// The sums over the ranks, in place. The same bits on all ranks.
  virtual void all_reduce(std::span<float> values, Stream& stream) = 0;
  /// Root's bytes to all.
  virtual void broadcast(std::span<std::byte> bytes, int root, Stream& stream) = 0;
  /// What has gone wrong with work that is on its way, on this rank or on another one.
  [[nodiscard]] virtual std::optional<Error> failure() = 0;
  /// Ends what is on its way on this rank, whatever the others do; what waits for it waits no more.
  /// Their work does not end by that.
  virtual void abort() noexcept = 0;
  [[nodiscard]] virtual std::string name() const = 0;  ///< "NCCL 2.28.9"
};

/// By which the ranks find each other.
using CollectiveId = std::array<std::byte, 128>;

/// On one rank; it goes to the others by other means. Error(device) where there is no NCCL.
[[nodiscard]] CollectiveId make_collective_id();

/// Called by all ranks at the same time. \param timeout seconds that this and each later call may
/// wait for the other ranks
[[nodiscard]] std::unique_ptr<Collective> make_collective(const Device& device,
                                                          const CollectiveId& id, int ranks,
                                                          int rank, double timeout);

}  // namespace faro::cuda
