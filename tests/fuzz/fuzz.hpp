// What the fuzz targets share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string_view>

#include "base/error.hpp"

/// Ends the fuzzer with the reason where an invariant does not hold.
inline void require(bool holds, std::string_view what) {
  if (holds) return;
  std::cerr << "broken: " << what << '\n';
  std::abort();
}

/// Runs `work`; false where it ends with an Error of one of the codes. Any other exception is a
/// find.
template <class Work, class... Codes>
bool succeeds(Work&& work, Codes... codes) {
  try {
    work();
    return true;
  } catch (const faro::Error& error) {
    require(((error.code() == codes) || ...), error.what());
    return false;
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
