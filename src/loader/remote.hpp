// What other nodes' samples need: how they travel, and their memory. Part of the plan.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/comm.hpp"
#include "exchange/arrival.hpp"
#include "exchange/route.hpp"
#include "faro/config.hpp"
#include "loader/machine.hpp"
#include "manifest/manifest.hpp"

namespace faro::loader {

/// Of a rank, where there are several nodes.
struct Remote {
  exchange::Way way = exchange::Way::direct;
  std::uint32_t parts = 1;
  exchange::Arrivals::Shape arrivals;  ///< of this rank's group
  std::uint64_t send_bytes = 0;        ///< the ring of what is on its way
  std::uint64_t piece_bytes = 0;       ///< of a message, at most
  std::uint64_t usual_bytes = 0;       ///< that a round brings to a rank, on average
  double message_bytes = 0;            ///< expected of a message as it is sent
  double direct_bytes = 0;             ///< the same from rank to rank
};

/// The most that any rank takes: the same on all ranks, unlike Remote::arrivals.
struct RemoteBytes {
  std::uint64_t shared = 0;    ///< arrival buffers in the node's shared memory
  std::uint64_t private_ = 0;  ///< those that are not; send buffers; what is known of own samples
};

/// By rank of the job: its node, told by the number in the job of the node's first rank.
/// Collective.
[[nodiscard]] std::vector<std::uint32_t> map_nodes(comm::Communicator& world,
                                                   comm::Communicator& node);

/// \param steps of a round
[[nodiscard]] Remote plan_remote(const manifest::Manifest& manifest, const Config& config,
                                 const Machine& machine, std::uint64_t steps);
/// \param samples of a rank's blocks in its arena, at most
[[nodiscard]] RemoteBytes bytes_of(const Remote& remote, const manifest::Manifest& manifest,
                                   const Config& config, const Machine& machine,
                                   std::uint64_t steps, std::uint64_t samples);

}  // namespace faro::loader
