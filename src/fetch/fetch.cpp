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
  if (options_.cache != nullptr) {
    if (const auto place = options_.cache->find(job.block)) {
      request_cached(key, active, *place);
      return;
    }
  }
  request(key, active);
}

void Fetcher::read_parts(std::uint64_t key, Active& active, const std::string& uri,
                         std::uint64_t offset, std::uint64_t part,
                         const std::optional<store::ObjectInfo>& expect) {
  // The parts' numbers come back in the low bits of their id.
  const auto whole = manifest_.blocks.at(active.job.block).length;
  active.part = part;
  active.sums.assign((whole - 1) / part + 1, 0);
  for (std::uint64_t i = 0; i < active.sums.size(); ++i) {
    const auto at = i * part;
    const auto length = std::min(part, whole - at);
    client_.read({key << part_bits | i, uri, {offset + at, length}, active.job.bytes + at, expect});
    ++active.parts_left;
  }
}

void Fetcher::request(std::uint64_t key, Active& active) {
  const auto& block = manifest_.blocks.at(active.job.block);
  const auto& shard = manifest_.shards[block.shard];
  const auto part = std::max(client_.part_size(options_.request_size, options_.room),
                             (block.length >> part_bits) + 1);
  read_parts(key, active, shard.uri, block.offset, part, store::ObjectInfo{shard.size, shard.etag});
}

void Fetcher::request_cached(std::uint64_t key, Active& active, const Place& place) {
  const auto length = manifest_.blocks.at(active.job.block).length;
  active.cached = true;
  const auto part = std::max(options_.request_size, (length >> (part_bits - 1)) + 1);
  read_parts(key, active, place.uri, place.offset + sizeof(EntryHeader), part, std::nullopt);
  // The number after those of the parts.
  client_.read({key << part_bits | active.sums.size(),
                place.uri,
                {place.offset, sizeof(EntryHeader)},
                reinterpret_cast<std::byte*>(&active.header),
                std::nullopt});
  ++active.parts_left;
}

bool Fetcher::came_from_cache(Active& active) {
  const auto length = manifest_.blocks[active.job.block].length;
  if (!active.error &&
      options_.cache->matches(active.header, active.job.block, checksum(active, length))) {
    ++counters_.cache_hits;
    counters_.cache_bytes += length;
    return true;
  }
  options_.cache->damaged(active.job.block);
  active.error.reset();
  active.cached = false;
  return false;
}

std::uint32_t Fetcher::checksum(const Active& active, std::uint64_t length) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < active.sums.size(); ++i) {
    sum = crc32c_combine(sum, active.sums[i], std::min(active.part, length - i * active.part));
  }
  return sum;
}

bool Fetcher::ended(std::uint64_t key, Active& active) {
  if (active.cached && !came_from_cache(active)) {
    request(key, active);
    return false;
  }
  if (active.error) return true;
  const auto& block = manifest_.blocks[active.job.block];
  if (!active.cached && (block.flags & manifest::Block::has_crc) != 0 &&
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
    if (!active.cached) counters_.bytes += block.length;
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
    const auto part = completion.id & ((1U << part_bits) - 1);
    if (part < active.sums.size()) active.sums[part] = completion.crc32c;
    if (active.cached) cache_requests_ += completion.attempts;
    if (completion.error && !active.error) {
      // The store names shard and range.
      active.error.emplace(completion.error->code(),
                           fmt::format("rank {}: {}", options_.rank, completion.error->what()),
                           options_.rank);
    }
    if (--active.parts_left > 0 || !ended(key, active)) continue;
    done.push_back({active.job, std::move(active.error), active.cached});
    active_.erase(found);
  }
}

Counters Fetcher::counters() const {
  auto all = counters_;
  const auto& client = client_.counters();
  // What is in flight is counted there, not yet here.
  all.requests = client.requests - std::min(client.requests, cache_requests_);
  all.retries += client.retries;  // none is of a file: what fails there is read from the store
  all.wasted_bytes += client.wasted_bytes;
  all.store = client;
  all.peak_requests = client_.peak_requests();
  return all;
}

}  // namespace faro::fetch
