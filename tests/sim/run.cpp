#include "run.hpp"

#include <fmt/format.h>

#include <deque>

#include "consumer.hpp"
#include "guarantees.hpp"
#include "loader/session.hpp"
#include "scenario.hpp"
#include "store.hpp"

namespace faro::sim {

Outcome run(std::uint64_t seed, Broken broken, Counts& counts) {
  const auto scenario = make_scenario(seed);
  context(describe(scenario));
  Scheduler scheduler(seed, scenario.paces);
  const auto store =
      std::make_shared<Store>(scenario.data, scenario.store, broken, scheduler, counts);
  const auto network = std::make_shared<Network>(scenario.network, broken, scheduler, counts);
  auto worlds = comm::make_threads({scenario.node, scenario.concurrent, network});
  std::vector<Report> reports(worlds.size());
  scheduler.run([&](int rank) {
    const auto at = static_cast<std::size_t>(rank);
    consume(scenario, broken, std::move(worlds[at]), store, scheduler, reports[at], counts);
  });
  if (scenario.ending == Ending::freezes) ++counts["rank: freezes"];
  if (scenario.ending == Ending::dies) ++counts["rank: dies"];
  check_guarantees(scenario, *store, reports);
  return {scheduler.trace(), scheduler.turns(), scheduler.elapsed()};
}

}  // namespace faro::sim
