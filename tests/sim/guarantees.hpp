// What must hold after a run, whatever has happened in it.
#pragma once

#include "consumer.hpp"

namespace faro::sim {

/// fail()s where a guarantee does not hold.
void check_guarantees(const Scenario& scenario, const Store& store,
                      const std::vector<Report>& reports);

}  // namespace faro::sim
