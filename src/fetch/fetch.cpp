#include "fetch/fetch.hpp"

#include <algorithm>

#include "base/crc32c.hpp"
#include "base/error.hpp"

namespace faro::fetch {

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
  for (std::uint64_t at = 0; at < block.length; at += options_.request_size) {
    const auto length = std::min(options_.request_size, block.length - at);
    client_.read({key,
                  shard.uri,
                  {block.offset + at, length},
                  active.job.bytes + at,
                  store::ObjectInfo{shard.size, shard.etag}});
    ++active.parts_left;
  }
}

bool Fetcher::ended(std::uint64_t key, Active& active) {
  if (active.error) return true;
  const auto& block = manifest_.blocks[active.job.block];
  const std::span<const std::byte> bytes(active.job.bytes, block.length);
  if ((block.flags & manifest::Block::has_crc) != 0 && crc32c(bytes) != block.crc32c) {
    counters_.wasted_bytes += block.length;
    if (active.attempt < options_.store.attempts) {
      ++active.attempt;
      ++counters_.retries;
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
    const auto found = active_.find(completion.id);
    auto& active = found->second;
    if (completion.error && !active.error) {
      // The store names shard and range.
      active.error.emplace(completion.error->code(),
                           fmt::format("rank {}: {}", options_.rank, completion.error->what()),
                           options_.rank);
    }
    if (--active.parts_left > 0 || !ended(completion.id, active)) continue;
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
  return all;
}

}  // namespace faro::fetch
