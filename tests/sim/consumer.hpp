// The training code of a simulated rank, as far as the loader sees it.
#pragma once

#include <optional>

#include "comm/comm.hpp"
#include "faro/loader.hpp"
#include "scenario.hpp"
#include "store.hpp"

namespace faro::sim {

/// A sample as a rank got it.
struct Delivery {
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;
  std::uint64_t slot = 0;
  std::uint64_t number = 0;
  bool pad = false;
};

/// What a rank has seen.
struct Report {
  std::vector<Delivery> samples;
  std::uint64_t batches = 0;
  std::uint64_t epochs = 0;  // that came to their end
  std::optional<Error> error;
  bool left = false;  // of its own will, before the end
  double thrown = 0;  // when the error was
  double ended = 0;   // when all of the rank's was gone
  Plan plan;
  std::uint64_t store_bytes = 0;
  std::uint64_t retries = 0;
  std::uint64_t hedges = 0;
};

void consume(const Scenario& scenario, Broken broken, std::unique_ptr<comm::Communicator> world,
             const std::shared_ptr<Store>& store, Scheduler& scheduler, Report& report,
             Counts& counts);

}  // namespace faro::sim
