// Interface of loader/ towards the command: the data set, and the plan of a run over it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "comm/comm.hpp"
#include "faro/loader.hpp"
#include "format/format.hpp"
#include "loader/machine.hpp"
#include "loader/remote.hpp"
#include "manifest/manifest.hpp"
#include "store/store.hpp"

namespace faro::loader {

struct Dataset {
  manifest::Manifest manifest;
  std::shared_ptr<const format::Format> format;
  manifest::IndexCost index_cost;  ///< zero where a manifest was read
  /// What its blocks are read through; nullptr: the stores that its shards name.
  std::shared_ptr<store::Transports> transports;
};

/// The file that `faro index DATA` writes, and every command looks for, without --manifest: the
/// name of the data in the working directory, such as train.faro.h5.
[[nodiscard]] std::string default_manifest(const std::string& data);

/// The data set of a configuration, from its manifest or by indexing (then written to
/// config.manifest where that is named). Collective. A manifest of other shards than DATA names is
/// Error(changed).
[[nodiscard]] Dataset open_dataset(const Config& config, comm::Communicator& comm,
                                   const Loader::Log& log);

/// What a run needs beyond the public plan.
struct RunPlan {
  Plan plan;
  std::uint64_t capacity = 0;    ///< of a rank's arena
  std::optional<Remote> remote;  ///< nothing where all ranks are on one node
};

/// The plan; the same on all ranks that give the same values. Never throws for the budget.
[[nodiscard]] RunPlan make_plan(const manifest::Manifest& manifest, const Config& config,
                                const Machine& machine);

/// Error(memory) that names the smallest budget unless the plan fits.
void check_budget(const Plan& plan, const Config& config);

/// The machine as it is: the job's nodes, and the budget of config.memory, or half of what is free.
/// Collective.
[[nodiscard]] Machine inspect_machine(const Config& config, comm::Communicator& comm,
                                      comm::Communicator& node);

}  // namespace faro::loader
