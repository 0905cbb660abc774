// Internal to cli/: what `faro run` says of a run, for programs and for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/comm.hpp"
#include "faro/loader.hpp"

namespace faro::cli {

/// One epoch, and the CPU time that the processes took for it.
struct Epoch : EpochStats {
  double cpu_seconds = 0;
};

/// Over all ranks: samples, bytes and CPU time summed, the other times of the slowest rank.
/// Collective.
[[nodiscard]] Epoch over_ranks(const Epoch& mine, comm::Communicator& comm);
/// Counts summed, peaks of the rank with the highest. Collective.
[[nodiscard]] LoaderStats over_ranks(const LoaderStats& mine, comm::Communicator& comm);

/// Every rank's placement, on rank 0. Collective.
[[nodiscard]] nlohmann::ordered_json over_ranks(const Locality& mine, comm::Communicator& comm);

/// CPU seconds of this process so far, user and system.
[[nodiscard]] double cpu_seconds();
[[nodiscard]] double per_second(std::uint64_t amount, double seconds);

[[nodiscard]] nlohmann::ordered_json report(const Plan& plan, const Config& config,
                                            const LoaderStats& stats,
                                            const std::vector<Epoch>& epochs,
                                            const nlohmann::ordered_json& placement);
/// The last lines on a terminal. `file`: where the report went; empty: nowhere.
void summarise(const nlohmann::ordered_json& report, const Plan& plan, const Config& config,
               double seconds, const std::string& file);

}  // namespace faro::cli
