#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "format/format.hpp"
#include "manifest/manifest.hpp"
#include "store/store.hpp"

namespace faro::manifest {

/// How shards are read while they are indexed.
struct Reading {
  bool all = true;                          ///< every byte once; else what the format asks for
  std::uint64_t chunk = 2U << 20U;          ///< bytes of the largest request
  std::size_t ahead = 4;                    ///< chunks in memory or in flight, where all is read
  const std::atomic<bool>* stop = nullptr;  ///< gives up with Error(stopped)
  std::atomic<std::uint64_t>* bytes_read = nullptr;  ///< for progress
};

/// Memory for chunks, used again from shard to shard. Outlives the client that writes into it.
class ChunkPool {
 public:
  explicit ChunkPool(std::uint64_t chunk) : chunk_(chunk) {}
  [[nodiscard]] std::byte* take();
  void give(std::byte* memory) { free_.push_back(memory); }

 private:
  std::uint64_t chunk_;
  std::vector<std::unique_ptr<std::byte[]>> all_;
  std::vector<std::byte*> free_;
};

/// A shard behind range reads, for one scan from its start to its end, with the CRC32C of the
/// blocks that the scan cuts it into. Memory is bounded by the chunks: bytes are given back as soon
/// as it is certain which block they belong to, so a sample of any size passes through.
class ShardReader final : public format::Source {
 public:
  ShardReader(store::Client& client, ChunkPool& pool, const Shard& shard, const Reading& reading);

  [[nodiscard]] std::uint64_t size() const override { return shard_.size; }
  std::span<const std::byte> read(std::uint64_t offset, std::uint64_t length) override;

  /// All bytes below `offset` belong to the current block or to earlier ones.
  void certain(std::uint64_t offset);
  /// Ends the current block at `offset`, where the next one begins. Its CRC32C, if all its bytes
  /// were read; where all is to be read, it reads what is missing.
  std::optional<std::uint32_t> cut(std::uint64_t offset);
  /// Waits for what is in flight: the pool's memory is then free. Not needed after an exception.
  void finish();

 private:
  struct Chunk {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::byte* memory = nullptr;
    bool ready = false;
  };
  void digest(std::uint64_t upto);
  void release(std::uint64_t below);
  void request(std::uint64_t length);
  void request_ahead();
  void request_upto(std::uint64_t offset, std::uint64_t end);
  void wait(const Chunk& chunk);
  void poll();

  store::Client& client_;
  ChunkPool& pool_;
  const Shard& shard_;
  Reading reading_;
  std::deque<Chunk> chunks_;     // contiguous, ascending
  std::uint64_t next_ = 0;       // where the next request begins: the end of the last chunk
  std::uint64_t burst_ = 0;      // bytes of the next request, where not all is read
  std::uint64_t in_flight_ = 0;  // requests
  bool leading_ = true;          // no sample yet: whatever is passed belongs to the first block
  std::uint64_t certain_ = 0;
  std::uint32_t crc_ = 0;  // of the current block, up to digested_
  std::uint64_t digested_ = 0;
  bool whole_ = true;  // nothing of the current block was skipped
  std::vector<std::byte> joined_;
  std::vector<store::Completion> done_;
};

}  // namespace faro::manifest
