// What a message between nodes looks like.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "format/format.hpp"

namespace faro::exchange {

/// What every message starts with. A Section for each of the receiving part's ranks follows, then
/// the samples' sizes (8 bytes each), then their bytes: section by section, in slot order. A
/// message that is longer than the limit of a piece sends its header by itself, then pieces of the
/// rest.
///
/// Where samples come into a device's memory, their sizes are followed by a Hidden for each, and
/// by what it leaves of each for the host; their bytes come last, all of them, in pieces of their
/// own, from a multiple of apart_alignment on.
struct MessageHeader {
  std::uint64_t round = 0;
  std::uint64_t sections = 0;
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;  ///< of the whole message, header included
  std::uint64_t apart = 0;  ///< of them at the end, for the device
};

/// What a kernel reads at once.
constexpr std::uint64_t apart_alignment = 16;

/// What is for one rank.
struct Section {
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;  ///< of the samples
};

/// A run of a sample's bytes that its receiver's host does not look at.
struct Hidden {
  std::uint64_t begin = 0;
  std::uint64_t length = 0;
};

/// A sample in the arena.
struct StoredSample {
  std::span<const std::byte> bytes;
  format::Outline outline;
};

/// \param number of the sample in the data set
using Hide =
    std::function<Hidden(const StoredSample& sample, std::uint64_t number, bool starts_shard)>;

}  // namespace faro::exchange
