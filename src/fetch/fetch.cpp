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
  const auto& block = manifest_.blocks.at(job.block);
  const std::uint64_t key = next_key_++;
  auto& active = active_[key];
  active.job = job;
  active.parts_left = (block.length + options_.request_size - 1) / options_.request_size;
  request(key, active);
}

void Fetcher::request(std::uint64_t key, const Active& active) {
  const auto& block = manifest_.blocks[active.job.block];
  const auto& shard = manifest_.shards[block.shard];
  for (std::uint64_t at = 0; at < block.length; at += options_.request_size) {
    const auto length = std::min(options_.request_size, block.length - at);
    client_.read({key, shard.uri, {block.offset + at, length}, active.job.bytes + at,
                  store::ObjectInfo{shard.size, shard.etag}});
  }
}

bool Fetcher::intact(const Active& active) const {
  const auto& block = manifest_.blocks[active.job.block];
  return (block.flags & manifest::Block::has_crc) == 0 ||
         crc32c({active.job.bytes, block.length}) == block.crc32c;
}

void Fetcher::poll(std::vector<Job>& done, std::chrono::milliseconds timeout) {
  completions_.clear();
  client_.poll(completions_, timeout);
  for (const auto& completion : completions_) {
    const auto found = active_.find(completion.id);
    auto& active = found->second;
    const auto& block = manifest_.blocks[active.job.block];
    if (completion.error) {
      throw Error(completion.error->code(),
                  fmt::format("{}: {}", where(block), completion.error->what()), options_.rank);
    }
    if (--active.parts_left > 0) continue;
    if (!intact(active)) {
      counters_.wasted_bytes += block.length;
      if (active.attempt >= options_.store.attempts) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: its bytes differ from their checksum (CRC32C) in {} attempts: "
                                "restore the shard, or index it again if it was meant to change",
                                where(block), active.attempt),
                    options_.rank);
      }
      ++active.attempt;
      ++counters_.retries;
      active.parts_left = (block.length + options_.request_size - 1) / options_.request_size;
      request(completion.id, active);
      continue;
    }
    const auto& shard = manifest_.shards[block.shard];
    try {
      format::split(format_, {active.job.bytes, block.length}, block.offset,
                    {block.offset == 0, block.offset + block.length == shard.size},
                    {active.job.extents, block.count});
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", where(block), error.what()), options_.rank);
    }
    ++counters_.blocks;
    counters_.bytes += block.length;
    done.push_back(active.job);
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
