#include "fetch/fetch.hpp"

#include <algorithm>

#include "base/crc32c.hpp"
#include "base/error.hpp"

namespace faro::fetch {
namespace {

constexpr unsigned part_bits = 16;

}  // namespace

Fetcher::Fetcher(const manifest::Manifest& manifest, const format::Format& format,
                 const Options& options)
    : manifest_(manifest), format_(format), options_(options), client_(options.store) {}

std::string Fetcher::where(const manifest::Block& block) const {
  return fmt::format("{} bytes {}-{} (rank {})", store::redacted(manifest_.shards[block.shard].uri),
                     block.offset, block.offset + block.length - 1, options_.rank);
}

void Fetcher::start(const Job& job) {
  const std::uint64_t key = next_key_++;
  auto& active = active_[key];
  active.job = job;
  request(key, active);
}

void Fetcher::request(std::uint64_t key, Active& active) {
  const auto& block = manifest_.blocks.at(active.job.block);
  const auto& shard = manifest_.shards[block.shard];
  // The parts' numbers come back in the low bits of their id.
  active.part = std::max(client_.part_size(options_.request_size, options_.room),
                         (block.length >> part_bits) + 1);
  active.sums.assign((block.length - 1) / active.part + 1, 0);
  for (std::uint64_t i = 0; i < active.sums.size(); ++i) {
    const auto at = i * active.part;
    const auto length = std::min(active.part, block.length - at);
    client_.read({key << part_bits | i,
                  shard.uri,
                  {block.offset + at, length},
                  active.job.bytes + at,
                  store::ObjectInfo{shard.size, shard.etag}});
    ++active.parts_left;
  }
}

std::uint32_t Fetcher::checksum(const Active& active, std::uint64_t length) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < active.sums.size(); ++i) {
    sum = crc32c_combine(sum, active.sums[i], std::min(active.part, length - i * active.part));
  }
  return sum;
}

bool Fetcher::ended(std::uint64_t key, Active& active) {
  if (active.error) return true;
  const auto& block = manifest_.blocks[active.job.block];
  if ((block.flags & manifest::Block::has_crc) != 0 &&
      checksum(active, block.length) != block.crc32c) {
    counters_.wasted_bytes += block.length;
    if (active.attempt < options_.store.attempts) {
      ++active.attempt;
      ++counters_.retries;
      ++counters_.corrupt;
      request(key, active);
      return false;
    }
    active.error.emplace(
        ErrorCode::corrupt,
        fmt::format("{}: its bytes differ from their checksum (CRC32C) in {} attempts: restore the "
                    "shard, or index it again if it was meant to change",
                    where(block), active.attempt),
        options_.rank);
    return true;
  }
  try {
    const auto& shard = manifest_.shards[block.shard];
    const std::span<const std::byte> bytes(active.job.bytes, block.length);
    format::split(format_, bytes, block.offset,
                  {block.offset == 0, block.offset + block.length == shard.size},
                  {active.job.extents, block.count});
    ++counters_.blocks;
    counters_.bytes += block.length;
  } catch (const Error& error) {
    active.error.emplace(error.code(), fmt::format("{}: {}", where(block), error.what()),
                         options_.rank);
  }
  return true;
}

void Fetcher::poll(std::vector<Done>& done, std::chrono::milliseconds timeout) {
  completions_.clear();
  client_.poll(completions_, timeout);
  for (const auto& completion : completions_) {
    const auto key = completion.id >> part_bits;
    const auto found = active_.find(key);
    auto& active = found->second;
    active.sums[completion.id & ((1U << part_bits) - 1)] = completion.crc32c;
    if (completion.error && !active.error) {
      // The store names shard and range.
      active.error.emplace(completion.error->code(),
                           fmt::format("rank {}: {}", options_.rank, completion.error->what()),
                           options_.rank);
    }
    if (--active.parts_left > 0 || !ended(key, active)) continue;
    done.push_back({active.job, std::move(active.error)});
    active_.erase(found);
  }
}

Counters Fetcher::counters() const {
  auto all = counters_;
  const auto& client = client_.counters();
  all.requests = client.requests;
  all.retries += client.retries;
  all.wasted_bytes += client.wasted_bytes;
  all.store = client;
  all.peak_requests = client_.peak_requests();
  return all;
}

}  // namespace faro::fetch
