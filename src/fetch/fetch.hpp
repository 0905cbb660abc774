// Interface of fetch/: blocks from the store into memory, checked and split into samples.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "fetch/cache.hpp"
#include "format/format.hpp"
#include "manifest/manifest.hpp"
#include "store/store.hpp"

namespace faro::fetch {

/// One block to bring: `bytes` (the block's length) and `extents` (its count) are written by the
/// fetcher until the job is done.
struct Job {
  std::uint64_t id = 0;  ///< the caller's
  std::uint64_t block = 0;
  std::byte* bytes = nullptr;
  format::Extent* extents = nullptr;
};

/// The end of a job: whole and right, or the Error of why it cannot be had, which names shard, byte
/// range, rank and attempts.
struct Done {
  Job job;
  std::optional<Error> error;
  bool cached = false;  ///< it came from the cache
};

struct Options {
  store::Options store;
  std::uint64_t request_size = 8U << 20;  ///< largest range of one request
  std::uint64_t room = UINT64_MAX;        ///< bytes that may be in flight at once
  int rank = 0;                           ///< for messages
  BlockCache* cache = nullptr;            ///< asked before the store
};

struct Counters {
  std::uint64_t blocks = 0;    ///< that arrived whole and right
  std::uint64_t bytes = 0;     ///< of those from the store: each counted once, whatever it took
  std::uint64_t requests = 0;  ///< sent to the store
  std::uint64_t retries = 0;   ///< requests sent again, and blocks read again
  std::uint64_t wasted_bytes = 0;
  std::uint64_t corrupt = 0;      ///< blocks read again because of their checksum
  store::Counters store;          ///< the store's own, of hedges and causes
  std::size_t peak_requests = 0;  ///< the level of requests in flight that was found
  std::uint64_t cache_hits = 0;   ///< blocks that came from the cache
  std::uint64_t cache_bytes = 0;  ///< of those
};

/// Reads blocks in ranges of at most request_size, many at once; checks length, ETag and CRC32C;
/// reads a bad block again; one that the cache has only in a bad state, from the store; splits it
/// into samples. Not thread safe but for wake().
class Fetcher {
 public:
  /// Keeps references to the manifest and the format.
  Fetcher(const manifest::Manifest& manifest, const format::Format& format, const Options& options);

  void start(const Job& job);
  /// Drives the reads; appends the jobs that have ended. Nothing writes to their memory any more.
  void poll(std::vector<Done>& done, std::chrono::milliseconds timeout);
  void wake() { client_.wake(); }
  [[nodiscard]] std::size_t pending() const noexcept { return active_.size(); }
  [[nodiscard]] Counters counters() const;

 private:
  struct Active {
    Job job;
    bool cached = false;  // being read from the cache
    EntryHeader header;   // of its entry there
    std::uint64_t parts_left = 0;
    unsigned attempt = 1;
    std::uint64_t part = 0;           // bytes of each request but the last
    std::vector<std::uint32_t> sums;  // CRC32C of the parts, as they arrived
    std::optional<Error> error;
  };
  void request(std::uint64_t key, Active& active);
  void request_cached(std::uint64_t key, Active& active, const Place& place);
  void read_parts(std::uint64_t key, Active& active, const std::string& uri, std::uint64_t offset,
                  std::uint64_t part, const std::optional<store::ObjectInfo>& expect);
  /// All parts from the cache are there, or have failed: whether they are the block.
  bool came_from_cache(Active& active);
  /// All parts are there, or have failed: whether the job has ended, in `active.error` how.
  bool ended(std::uint64_t key, Active& active);
  [[nodiscard]] static std::uint32_t checksum(const Active& active, std::uint64_t length);
  [[nodiscard]] std::string where(const manifest::Block& block) const;

  const manifest::Manifest& manifest_;
  const format::Format& format_;
  Options options_;
  store::Client client_;
  std::unordered_map<std::uint64_t, Active> active_;  // by the key that its requests carry
  std::uint64_t next_key_ = 0;
  Counters counters_;
  std::uint64_t cache_requests_ = 0;  // of the client's, those that read the cache
  std::vector<store::Completion> completions_;
};

}  // namespace faro::fetch
