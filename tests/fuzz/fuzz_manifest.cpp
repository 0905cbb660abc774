// Any bytes as the head of a manifest's file, and as a manifest's tables: refused, or consistent.
#include <algorithm>
#include <limits>

#include "fuzz.hpp"
#include "manifest/frame.hpp"
#include "manifest/manifest.hpp"

using namespace faro;
using Bytes = std::span<const std::byte>;

namespace {

void check_tables(Bytes bytes) {
  manifest::Manifest m;
  if (!succeeds([&] { m = manifest::deserialise(bytes); }, ErrorCode::format)) return;
  require(std::ranges::equal(serialise(m), bytes), "what is read is written the same");
  std::uint64_t samples = 0;
  std::uint64_t total = 0;
  for (std::uint64_t b = 0; b < m.blocks.size(); ++b) {
    const auto& block = m.blocks[b];
    require(block.shard < m.shards.size(), "a block's shard is there");
    require(block.offset + block.length <= m.shards[block.shard].size, "a block lies in its shard");
    require(block.first_sample == samples, "samples are numbered");
    require(m.block_of_sample(samples) == b, "the first sample is found");
    samples += block.count;
    total += block.length;
    require(m.block_of_sample(samples - 1) == b, "the last sample is found");
  }
  require(samples == m.samples && total == m.bytes, "the sums are right");
  require(m.sizes.largest(m.samples) >= m.bytes, "the sizes bound the bytes");
  require(m.digest().size() == 32, "a digest has 32 digits");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto head = bytes.first(std::min(size, manifest::frame_size));
  static_cast<void>(succeeds(
      [&] {
        const auto crc = manifest::check_frame(head, size);
        manifest::check_content(bytes.subspan(head.size()), crc);
      },
      ErrorCode::format));
  check_tables(bytes);
  return 0;
}
