#include "manifest/manifest.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace faro::manifest {
namespace {

constexpr auto bad = ErrorCode::format;
constexpr std::uint64_t tar_block = 512;

void check_format(const format::Spec& spec) {
  check(spec.name == "tar" || spec.name == "raw", bad, "manifest: unknown format '{}'", spec.name);
  check(spec.name != "raw" || spec.raw_record != 0, bad, "manifest: raw records of 0 bytes");
}

/// Whether a block of that length can hold its samples, as far as the format tells.
void check_count(const format::Spec& spec, const Block& block, std::uint64_t index) {
  bool fits = false;
  if (spec.name == "tar") {
    fits = block.count <= block.length / tar_block;
  } else {
    const std::uint64_t header = block.offset == 0 ? spec.raw_header : 0;
    fits = block.length >= header && (block.length - header) / spec.raw_record == block.count &&
           (block.length - header) % spec.raw_record == 0;
  }
  check(fits, bad, "manifest: block {}: {} samples in {} bytes", index, block.count, block.length);
}

void check_sizes(const SizeHistogram& sizes, std::uint64_t samples, std::uint64_t bytes) {
  std::uint64_t sum = 0;
  for (std::size_t b = 0; b < SizeHistogram::buckets; ++b) {
    const auto& [count, largest] = sizes.bucket[b];
    sum = checked_add(sum, count, bad);
    check(count == 0 ? largest == 0 : SizeHistogram::bucket_of(largest) == b, bad,
          "manifest: sample sizes: bucket {} holds a size of {}", b, largest);
  }
  check(sum == samples && sizes.largest(samples) >= bytes, bad,
        "manifest: the sample sizes do not agree with the {} samples of the blocks", samples);
}

}  // namespace

void Manifest::validate() {
  check_format(format);
  check(!blocks.empty(), bad, "manifest: no blocks: the data set has no samples");
  samples = bytes = largest_block = 0;
  const Block* last = nullptr;
  for (std::uint64_t i = 0; i < blocks.size(); ++i) {
    const Block& block = blocks[i];
    check(block.shard < shards.size(), bad, "manifest: block {}: shard {} of {}", i, block.shard,
          shards.size());
    check(block.length > 0 && block.count > 0, bad, "manifest: block {} is empty", i);
    check((block.flags & ~Block::has_crc) == 0, bad,
          "manifest: block {}: unknown flags {:#x}; made by a newer faro?", i, block.flags);
    const bool same = last != nullptr && last->shard == block.shard;
    check(same || last == nullptr || last->shard < block.shard, bad,
          "manifest: block {}: shard {} comes after shard {}", i, block.shard,
          last == nullptr ? 0 : last->shard);
    const std::uint64_t expected = same ? last->offset + last->length : 0;
    check(block.offset == expected, bad, "manifest: block {} is at byte {} where {} is due", i,
          block.offset, expected);
    const std::uint64_t end = checked_add(block.offset, block.length, bad);
    const std::uint64_t size = shards[block.shard].size;
    const bool ends = i + 1 == blocks.size() || blocks[i + 1].shard != block.shard;
    check(ends ? end == size : end < size, bad,
          "manifest: block {} ends at byte {} of a shard of {} bytes", i, end, size);
    check_count(format, block, i);
    check(block.first_sample == samples, bad,
          "manifest: block {} begins at sample {} where {} is due", i, block.first_sample, samples);
    samples = checked_add(samples, block.count, bad);
    bytes = checked_add(bytes, block.length, bad);
    largest_block = std::max(largest_block, block.length);
    last = &block;
  }
  check_sizes(sizes, samples, bytes);
}

std::uint64_t Manifest::block_of_sample(std::uint64_t sample) const {
  check(sample < samples, ErrorCode::internal, "sample {} of {}", sample, samples);
  const auto after = std::ranges::upper_bound(blocks, sample, {}, &Block::first_sample);
  return static_cast<std::uint64_t>(after - blocks.begin()) - 1;
}

}  // namespace faro::manifest
