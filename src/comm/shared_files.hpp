// Internal to comm/: memory that the ranks of a node share, as files without a name.
#pragma once

#include <memory>

#include "comm/comm.hpp"

namespace faro::comm {

/// What Communicator::share() gives: each rank's segment is an unnamed file of /dev/shm, which the
/// others open through /proc. It ends with the last process that has it mapped, however that ends.
/// Its pages are taken by whoever touches them. A rank alone gets private memory. Collective;
/// Error(memory) on all ranks where one has failed.
[[nodiscard]] std::unique_ptr<SharedMemory> share_files(Communicator& node, std::uint64_t bytes);

}  // namespace faro::comm
