// The proof of guarantees 1 and 3 on the user's own data: every sample delivered once, with the
// bytes that were read, and every byte read once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "comm/comm.hpp"
#include "faro/batch.hpp"
#include "manifest/manifest.hpp"

namespace faro::loader {

/// CRC32C and bytes of a sample's fields, concatenated as stored.
struct Payload {
  std::uint32_t crc = 0;
  std::uint64_t bytes = 0;
};
[[nodiscard]] Payload payload_of(std::span<const Field> fields);

/// A count and a commutative hash (the sum of XXH3-64 of each member): equal sums of different sets
/// have a chance of 2^-64.
struct Sum {
  std::uint64_t count = 0;
  std::uint64_t hash = 0;
  void add(std::uint64_t number, const Payload& payload);
  bool operator==(const Sum&) const = default;
};

/// The reader's side is summed as a block has passed its checksum, the consumer's side as a batch
/// is delivered; close() holds both against each other and against the manifest, shard by shard.
/// Thread safe.
class Proof {
 public:
  /// \param resident blocks are read for the first epoch and stay for all others
  Proof(const manifest::Manifest& manifest, bool resident)
      : manifest_(manifest), resident_(resident) {}

  /// A block was read for an epoch (index in the run); the sum is over all of its samples.
  void read(std::uint64_t epoch, std::uint64_t block, const Sum& samples);
  /// A sample of a block that this rank has read, which the epoch does not deliver (`drop`).
  void left_out(std::uint64_t epoch, std::uint64_t sample, const Payload& payload);
  void delivered(std::uint64_t epoch, std::uint64_t sample, const Payload& payload);

  /// What waits for an all-reduce that has been started, or throws where peers will not come.
  using Wait = std::function<void(std::unique_ptr<comm::Operation>)>;
  /// Collective. Error(corrupt) on all ranks, naming the shards concerned.
  /// \param samples that the epoch delivers, without pads
  void close(std::uint64_t epoch, std::uint64_t samples, comm::Communicator& comm,
             const Wait& wait);

 private:
  struct Epoch {
    std::vector<Sum> read;
    std::vector<Sum> left_out;
    std::vector<Sum> delivered;
    Sum blocks;
  };
  Epoch& at(std::uint64_t epoch);

  const manifest::Manifest& manifest_;
  bool resident_;
  std::mutex mutex_;
  std::map<std::uint64_t, Epoch> epochs_;
};

}  // namespace faro::loader
