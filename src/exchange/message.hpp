// What a message between nodes looks like.
#pragma once

#include <cstdint>

namespace faro::exchange {

/// What every message starts with. A Section for each of the receiving part's ranks follows, then
/// the samples' sizes (8 bytes each), then their bytes: section by section, in slot order. A
/// message that is longer than the limit of a piece sends its header by itself, then pieces of the
/// rest.
struct MessageHeader {
  std::uint64_t round = 0;
  std::uint64_t sections = 0;
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;  ///< of the whole message, header included
};

/// What is for one rank.
struct Section {
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;  ///< of the samples
};

}  // namespace faro::exchange
