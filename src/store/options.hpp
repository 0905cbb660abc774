// Internal to store/: what options may be.
#pragma once

#include "store/store.hpp"

namespace faro::store {

/// Error(invalid_argument) that names the option and its range.
void check_options(const Options& options);

}  // namespace faro::store
