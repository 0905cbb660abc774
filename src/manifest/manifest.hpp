// Interface of manifest/: the data set's blocks. 40 bytes a block, nothing a sample.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "faro/config.hpp"
#include "format/format.hpp"

namespace faro::comm {
class Communicator;
}

namespace faro::manifest {

/// A shard as it was when it was indexed.
struct Shard {
  std::string uri;
  std::uint64_t size = 0;
  std::string etag;
};

/// A contiguous run of samples in a shard: the unit that is read, checked and cached. The blocks of
/// a shard that has samples tile it. Stored as it stands, little endian.
struct Block {
  static constexpr std::uint32_t has_crc = 1;

  std::uint32_t shard = 0;
  std::uint32_t crc32c = 0;  ///< of all its bytes; meaningful where flags has has_crc
  std::uint64_t offset = 0;  ///< in the shard
  std::uint64_t length = 0;  ///< bytes, at least 1
  std::uint64_t first_sample = 0;
  std::uint32_t count = 0;  ///< samples, at least 1
  std::uint32_t flags = 0;
};
static_assert(sizeof(Block) == 40);

/// Samples by size (bytes of the extent), four buckets between powers of two: bucket_of(size) is
/// 4 * bit_width(size) plus the two bits below the highest. Bounds the bytes of any k samples
/// without a per-sample table.
class SizeHistogram {
 public:
  static constexpr std::size_t buckets = 260;
  struct Bucket {
    std::uint64_t count = 0;
    std::uint64_t largest = 0;
  };
  [[nodiscard]] static std::size_t bucket_of(std::uint64_t size);
  void add(std::uint64_t size, std::uint64_t count = 1);
  void merge(const SizeHistogram& other);
  /// An upper bound of the bytes of the k largest samples.
  [[nodiscard]] std::uint64_t largest(std::uint64_t k) const;
  std::array<Bucket, buckets> bucket{};
};

struct Manifest {
  format::Spec format;
  std::vector<Shard> shards;
  std::vector<Block> blocks;  ///< by shard, then offset; first_sample ascending from 0
  SizeHistogram sizes;
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;          ///< of all blocks
  std::uint64_t largest_block = 0;  ///< bytes

  /// Error(format) unless all of it is consistent: shards in range, blocks tiling without overlap,
  /// first samples adding up, sums without overflow. Sets samples, bytes and largest_block.
  void validate();
  /// A hash (XXH3-128, hex) of the format, of every shard's base name and size, and of the blocks.
  /// Scheme, host, directory and ETag are left out, so that a data set that was copied keeps it;
  /// the blocks' checksums are in it, so one whose bytes changed does not.
  [[nodiscard]] std::string digest() const;
  /// The block that holds a sample.
  [[nodiscard]] std::uint64_t block_of_sample(std::uint64_t sample) const;
};

/// Who is told of indexing, on rank 0, by the thread that calls build().
struct IndexListener {
  /// Now and then: shards done, of all, bytes read so far.
  std::function<void(std::uint64_t, std::uint64_t, std::uint64_t)> progress;
  /// A line on what takes long: a store that is silent.
  std::function<void(const std::string&)> log;
};

/// What indexing has read from the store, over all ranks.
struct IndexCost {
  std::uint64_t bytes = 0;
  std::uint64_t requests = 0;
};

/// Builds the manifest of config.data, in parallel over the ranks; collective; the same on all.
/// A block closes at the sample start where one more sample as large as its largest would take it
/// past the target: config.block_size, or (0) a power of two of 256 KiB to 8 MiB near a 256th of
/// the data. Takes at most about 32 MiB for reading. Errors name the shard, and are the same on all
/// ranks.
[[nodiscard]] Manifest build(const Config& config, comm::Communicator& comm,
                             IndexCost* cost = nullptr, const IndexListener& listener = {});

/// Writes atomically (temporary file, rename). Error(io) on a full disk.
void write(const Manifest& manifest, const std::string& file);
/// Reads and validates. Errors: not_found, format (not a manifest, cut short, corrupt), io.
[[nodiscard]] Manifest read(const std::string& file);

/// Bytes for broadcasting, and back (validated). Layout private to this build of faro.
[[nodiscard]] std::vector<std::byte> serialise(const Manifest& manifest);
[[nodiscard]] Manifest deserialise(std::span<const std::byte> bytes);

}  // namespace faro::manifest
