// Internal to store/: times, as the client reckons with them.
#pragma once

#include <chrono>

#include "base/runtime.hpp"

namespace faro::store {

using faro::Clock;
using std::chrono::milliseconds;

inline Clock::duration seconds(double value) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
}

}  // namespace faro::store
