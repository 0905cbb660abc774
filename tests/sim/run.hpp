// One seed: a whole run, and the guarantees of docs/architecture.md after it.
#pragma once

#include <cstdint>

#include "faults.hpp"

namespace faro::sim {

struct Outcome {
  std::uint64_t trace = 0;  // of all that the threads did
  std::uint64_t turns = 0;
  double seconds = 0;  // of virtual time
};

/// Runs a seed; fail()s where a guarantee does not hold. Adds the faults that occurred to `counts`.
Outcome run(std::uint64_t seed, Broken broken, Counts& counts);

}  // namespace faro::sim
