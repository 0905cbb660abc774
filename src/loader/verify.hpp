// Every block of a data set against its checksum.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "loader/dataset.hpp"

namespace faro::loader {

/// Over all ranks; the same on all.
struct VerifyResult {
  std::uint64_t blocks = 0;
  std::uint64_t bytes = 0;
  std::uint64_t unchecked = 0;   ///< blocks without a checksum in the manifest
  std::vector<std::string> bad;  ///< one line a block that cannot be had, or differs
};

/// Reads all blocks, divided over the ranks, and goes on after bad ones. Collective.
/// Error(not_found) where there is no manifest: there is nothing to verify against.
/// \param progress called on rank 0 with blocks done, and of how many of its own
[[nodiscard]] VerifyResult verify_blocks(
    const Config& config, comm::Communicator& comm, const Loader::Log& log,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace faro::loader
