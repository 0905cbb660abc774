// Where the ranks of a node work: what topology/ decides, told among them and done.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "comm/comm.hpp"
#include "cuda/backend.hpp"
#include "faro/config.hpp"
#include "faro/locality.hpp"
#include "loader/device.hpp"
#include "topology/topology.hpp"

namespace faro::loader {

/// A node, and its ranks in the launcher's local order.
struct NodeRanks {
  topology::Topology topology;
  topology::Machine machine;  ///< the topology's, with the GPUs that CUDA alone knows
  std::vector<topology::LocalRank> ranks;
  std::size_t mine = 0;  ///< this rank's place among them
};

/// Collective over the ranks of a node. Its first rank looks at the machine, for all of them, and
/// once a process.
/// Errors: of topology::Topology::detect, on all of them.
[[nodiscard]] NodeRanks inspect_node(comm::Communicator& node,
                                     const cuda::Backend& backend = cuda::probe());

/// A placement in words. `huge_pages` stays false; without a device nothing is said of tensors.
[[nodiscard]] Locality in_words(const topology::Machine& machine, const topology::Placement& place,
                                const DeviceChoice& device = {});

/// One rank's place, and what of it was done. Nothing that fails here is an error: it is noted.
/// Thread safe.
class Placing {
 public:
  /// Collective. With bind = none, and in a simulation, the machine is not asked.
  Placing(const Config& config, comm::Communicator& world, bool shared_arena);

  /// On the threads themselves.
  void bind_fetch() noexcept;
  void bind_exchange() noexcept;
  /// The consumer runs where this is called.
  void consumer_is_here() noexcept;
  /// By the exchange's thread: moves it away from there, where it is not bound and there is room.
  void keep_off_consumer() noexcept;
  /// A thread that a bound one has started may run on all of the rank's processors.
  void unbind() noexcept;
  /// The arena's memory, before it is touched.
  void prepare(std::span<std::byte> memory) noexcept;

  [[nodiscard]] Locality locality() const;

 private:
  /// \param told what is set where it could be bound
  void bind(const topology::CpuSet& cpus, const char* what, std::string Locality::*told) noexcept;
  void note(const std::string& text);

  std::optional<topology::Topology> topology_;  // nothing: nothing is bound
  topology::Placement place_;
  std::atomic<int> consumer_cpu_ = -1;
  mutable std::mutex mutex_;  // guards locality_
  Locality locality_;
};

}  // namespace faro::loader
