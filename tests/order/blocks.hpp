// Made-up data sets for the tests of order/.
#pragma once

#include <cstdint>
#include <vector>

#include "manifest/manifest.hpp"
#include "network.hpp"

namespace faro::order::test {

/// Blocks of 1 to `most_samples` samples of 1 to `most_bytes` bytes.
inline std::vector<manifest::Block> make_blocks(std::uint64_t count, std::uint64_t most_samples,
                                                std::uint64_t most_bytes, std::uint64_t seed = 1) {
  std::vector<manifest::Block> blocks(count);
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    manifest::Block& block = blocks[i];
    block.offset = bytes;
    block.first_sample = samples;
    block.count = static_cast<std::uint32_t>(1 + split_mix(seed, 2 * i) % most_samples);
    block.length = block.count * (1 + split_mix(seed, 2 * i + 1) % most_bytes);
    samples += block.count;
    bytes += block.length;
  }
  return blocks;
}

inline std::uint64_t bytes_of(const std::vector<manifest::Block>& blocks) {
  std::uint64_t bytes = 0;
  for (const manifest::Block& block : blocks) bytes += block.length;
  return bytes;
}

}  // namespace faro::order::test
