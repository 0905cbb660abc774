#include "loader/proof.hpp"

#include <xxhash.h>

#include <array>
#include <string>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "store/store.hpp"

namespace faro::loader {

Payload payload_of(std::span<const Field> fields) {
  Payload payload;
  for (const auto& field : fields) {
    payload.crc = crc32c(field.bytes, payload.crc);
    payload.bytes += field.bytes.size();
  }
  return payload;
}

void Sum::add(std::uint64_t number, const Payload& payload) {
  const std::array<std::uint64_t, 3> member{number, payload.crc, payload.bytes};
  ++count;
  hash += XXH3_64bits(member.data(), sizeof(member));
}

Proof::Epoch& Proof::at(std::uint64_t epoch) {
  auto& entry = epochs_[epoch];
  if (entry.read.empty()) {
    const auto shards = manifest_.shards.size();
    entry.read.resize(shards);
    entry.left_out.resize(shards);
    entry.delivered.resize(shards);
  }
  return entry;
}

void Proof::read(std::uint64_t epoch, std::uint64_t block, const Sum& samples) {
  const std::scoped_lock lock(mutex_);
  auto& entry = at(epoch);
  auto& sum = entry.read[manifest_.blocks[block].shard];
  sum.count += samples.count;
  sum.hash += samples.hash;
  entry.blocks.add(block, {0, manifest_.blocks[block].length});
}

void Proof::left_out(std::uint64_t epoch, std::uint64_t sample, const Payload& payload) {
  const std::scoped_lock lock(mutex_);
  const auto& block = manifest_.blocks[manifest_.block_of_sample(sample)];
  at(epoch).left_out[block.shard].add(sample, payload);
}

void Proof::delivered(std::uint64_t epoch, std::uint64_t sample, const Payload& payload) {
  const std::scoped_lock lock(mutex_);
  const auto& block = manifest_.blocks[manifest_.block_of_sample(sample)];
  at(epoch).delivered[block.shard].add(sample, payload);
}

namespace {

/// The sums over all ranks. Where the wait is given up, MPI may still write to them: they stay.
std::vector<std::uint64_t> reduce(std::vector<std::uint64_t> sums, comm::Communicator& comm,
                                  const Proof::Wait& wait) {
  auto owned = std::make_unique<std::vector<std::uint64_t>>(std::move(sums));
  try {
    wait(comm.start_all_reduce(*owned, comm::Op::sum));
  } catch (...) {
    static_cast<void>(owned.release());
    throw;
  }
  return std::move(*owned);
}

}  // namespace

void Proof::close(std::uint64_t epoch, std::uint64_t samples, comm::Communicator& comm,
                  const Wait& wait) {
  const auto shards = manifest_.shards.size();
  // A shard: count and hash expected, count and hash delivered. Then the blocks' count and hash.
  std::vector<std::uint64_t> sums;
  sums.reserve(4 * shards + 2);
  {
    const std::scoped_lock lock(mutex_);
    const auto& mine = at(epoch);
    const auto& read = resident_ ? at(0) : mine;
    for (std::size_t s = 0; s < shards; ++s) {
      sums.push_back(read.read[s].count - mine.left_out[s].count);
      sums.push_back(read.read[s].hash - mine.left_out[s].hash);
      sums.push_back(mine.delivered[s].count);
      sums.push_back(mine.delivered[s].hash);
    }
    sums.push_back(read.blocks.count);
    sums.push_back(read.blocks.hash);
    if (!resident_ || epoch > 0) epochs_.erase(epoch);
  }
  sums = reduce(std::move(sums), comm, wait);

  std::string wrong;
  std::uint64_t expected = 0;
  std::uint64_t wrong_shards = 0;
  for (std::size_t s = 0; s < shards; ++s) {
    const auto* sum = &sums[4 * s];
    expected += sum[0];
    if (sum[0] == sum[2] && sum[1] == sum[3]) continue;
    if (++wrong_shards <= 5) {
      wrong += fmt::format("{} {} ({} samples read, {} delivered{})", wrong.empty() ? "" : ",",
                           store::redacted(manifest_.shards[s].uri), sum[0], sum[2],
                           sum[0] == sum[2] ? ", not the same ones" : "");
    }
  }
  check(wrong_shards == 0, ErrorCode::corrupt,
        "verification failed: samples were not delivered exactly once from {} shards:{}",
        wrong_shards, wrong);
  check(expected == samples, ErrorCode::corrupt,
        "verification failed: {} samples were delivered where the manifest has {}", expected,
        samples);
  Sum blocks;
  for (std::uint64_t b = 0; b < manifest_.blocks.size(); ++b) {
    blocks.add(b, {0, manifest_.blocks[b].length});
  }
  const Sum seen{sums[4 * shards], sums[4 * shards + 1]};
  check(seen == blocks, ErrorCode::corrupt,
        "verification failed: {} blocks were read where the manifest has {}: not each byte once",
        seen.count, blocks.count);
}

}  // namespace faro::loader
