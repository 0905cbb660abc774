// What a seed stands for.
#pragma once

#include <set>

#include "dataset.hpp"
#include "faro/config.hpp"
#include "faro/error.hpp"
#include "faults.hpp"
#include "network.hpp"

namespace faro::sim {

/// What the consumer of a rank does.
struct Consumer {
  double pause = 0;         // seconds between batches, at most
  std::uint64_t holds = 0;  // batches that it keeps beside the current one, at most
  Ending ending = Ending::none;
  std::uint64_t ends_after = 0;  // batches of the run
};

struct Scenario {
  std::uint64_t seed = 0;
  Data data;
  Config config;
  std::vector<int> node;  // by rank
  bool concurrent = true;
  std::vector<Scheduler::Pace> paces;
  std::vector<Consumer> consumers;
  StoreFaults store;
  NetworkFaults network;
  int frozen = -1;         // a rank
  double frozen_from = 0;  // seconds after it has its loader
  double frozen_for = 0;   // 0: for ever
  Ending ending = Ending::none;
  /// Codes of the error that all ranks throw; empty: none may.
  std::set<ErrorCode> errors;
  bool must_fail = false;

  [[nodiscard]] int ranks() const { return static_cast<int>(node.size()); }
};

/// In a few words, for messages.
[[nodiscard]] std::string describe(const Scenario& scenario);
[[nodiscard]] Scenario make_scenario(std::uint64_t seed);

}  // namespace faro::sim
