#include "manifest/shard_reader.hpp"

#include <algorithm>
#include <cstring>

#include "base/crc32c.hpp"
#include "base/error.hpp"

namespace faro::manifest {
namespace {

/// What is not asked for is read all the same where it is no longer than this: at a store's 30 MB/s
/// a request, skipping it would not pay for the wait for another answer.
constexpr std::uint64_t smallest_skip = 256U << 10U;
/// The first request after a skip: some headers and small members. Doubled as long as none is
/// skipped.
constexpr std::uint64_t first_burst = 32U << 10U;

}  // namespace

std::byte* ChunkPool::take() {
  if (free_.empty()) {
    return all_.emplace_back(std::make_unique_for_overwrite<std::byte[]>(chunk_)).get();
  }
  std::byte* memory = free_.back();
  free_.pop_back();
  return memory;
}

ShardReader::ShardReader(store::Client& client, ChunkPool& pool, const Shard& shard,
                         const Reading& reading)
    : client_(client), pool_(pool), shard_(shard), reading_(reading), burst_(first_burst) {}

std::span<const std::byte> ShardReader::read(std::uint64_t offset, std::uint64_t length) {
  if (leading_) certain_ = std::max(certain_, offset);
  digest(certain_);
  release(std::min(whole_ ? digested_ : certain_, offset));
  const std::uint64_t end = offset + length;
  request_upto(offset, end);

  auto chunk = std::ranges::find_if(chunks_, [&](const Chunk& c) { return c.end > offset; });
  if (chunk == chunks_.end()) return {};  // nothing is asked for, at the end
  wait(*chunk);
  if (end <= chunk->end) return {chunk->memory + (offset - chunk->begin), length};
  joined_.clear();
  for (; chunk != chunks_.end() && chunk->begin < end; ++chunk) {
    wait(*chunk);
    const std::uint64_t from = std::max(offset, chunk->begin);
    joined_.insert(joined_.end(), chunk->memory + (from - chunk->begin),
                   chunk->memory + (std::min(end, chunk->end) - chunk->begin));
  }
  return joined_;
}

void ShardReader::certain(std::uint64_t offset) {
  leading_ = false;
  certain_ = std::max(certain_, offset);
}

std::optional<std::uint32_t> ShardReader::cut(std::uint64_t offset) {
  certain(offset);
  digest(offset);
  const bool known = whole_ && digested_ == offset;
  const std::uint32_t crc = crc_;
  crc_ = 0;
  digested_ = offset;
  whole_ = true;
  return known ? std::optional(crc) : std::nullopt;
}

void ShardReader::finish() {
  while (in_flight_ > 0) poll();
  release(UINT64_MAX);
}

/// Takes the bytes up to `upto` into the checksum, as far as they are held or to be read anyway.
void ShardReader::digest(std::uint64_t upto) {
  while (whole_ && digested_ < upto) {
    if (reading_.all) {
      release(digested_);
      request_ahead();
    }
    const auto chunk =
        std::ranges::find_if(chunks_, [&](const Chunk& c) { return c.end > digested_; });
    if (chunk == chunks_.end()) return;
    if (chunk->begin > digested_) {
      whole_ = false;
      return;
    }
    wait(*chunk);
    const std::uint64_t end = std::min(upto, chunk->end);
    crc_ = crc32c({chunk->memory + (digested_ - chunk->begin), end - digested_}, crc_);
    digested_ = end;
  }
}

void ShardReader::release(std::uint64_t below) {
  while (!chunks_.empty() && chunks_.front().ready && chunks_.front().end <= below) {
    pool_.give(chunks_.front().memory);
    chunks_.pop_front();
  }
}

void ShardReader::request(std::uint64_t length) {
  const std::uint64_t end = std::min(next_ + std::min(length, reading_.chunk), shard_.size);
  const Chunk& chunk = chunks_.emplace_back(Chunk{next_, end, pool_.take(), false});
  client_.read({.id = chunk.begin,
                .uri = shard_.uri,
                .range = {chunk.begin, chunk.end - chunk.begin},
                .into = chunk.memory,
                .expect = store::ObjectInfo{shard_.size, shard_.etag}});
  ++in_flight_;
  next_ = end;
}

void ShardReader::request_ahead() {
  while (next_ < shard_.size && chunks_.size() < reading_.ahead) request(reading_.chunk);
}

/// Requests what is missing up to `end`; without `all`, it skips to `offset` where that saves much.
void ShardReader::request_upto(std::uint64_t offset, std::uint64_t end) {
  if (reading_.all) {
    request_ahead();
  } else if (offset > next_ && offset - next_ > smallest_skip) {
    release(UINT64_MAX);
    if (digested_ < offset) whole_ = false;
    next_ = offset;
    burst_ = first_burst;
  }
  while (next_ < end) {
    request(reading_.all ? reading_.chunk : std::max(burst_, end - next_));
    burst_ = std::min(burst_ * 2, reading_.chunk);
  }
}

void ShardReader::wait(const Chunk& chunk) {
  while (!chunk.ready) poll();
}

void ShardReader::poll() {
  check(reading_.stop == nullptr || !*reading_.stop, ErrorCode::stopped, "indexing was stopped");
  done_.clear();
  client_.poll(done_, std::chrono::milliseconds(50));
  for (const auto& completion : done_) {
    --in_flight_;
    if (completion.error) throw *completion.error;
    const auto chunk = std::ranges::find(chunks_, completion.id, &Chunk::begin);
    chunk->ready = true;
    if (reading_.bytes_read != nullptr) *reading_.bytes_read += chunk->end - chunk->begin;
  }
}

}  // namespace faro::manifest
