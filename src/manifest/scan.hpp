// One rank's part of indexing: its shards, scanned by a few threads.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/mailbox.hpp"
#include "manifest/manifest.hpp"
#include "manifest/shard_reader.hpp"

namespace faro::manifest {

/// The blocks of one shard, numbered by shard, not yet by sample; its samples' sizes go to `sizes`.
[[nodiscard]] std::vector<Block> scan_shard(const format::Format& format, std::uint32_t index,
                                            std::uint64_t target, ShardReader& reader,
                                            SizeHistogram& sizes);

/// Scans shards in threads of its own until it is done, has failed or is destroyed.
class RankScan {
 public:
  struct Plan {
    std::shared_ptr<const format::Format> format;
    std::span<const Shard> shards;    ///< of the data set; must outlive the scan
    std::vector<std::uint32_t> mine;  ///< which of them, in the order they are begun
    std::uint64_t target = 0;         ///< bytes of a block
    bool checksums = true;            ///< read every byte
    std::uint64_t largest_request = 0;
    store::Options store;
  };
  struct Result {
    std::vector<Block> blocks;  ///< in no order
    SizeHistogram sizes;
    IndexCost cost;
  };
  struct Status {
    std::uint64_t shards = 0;  ///< done
    std::uint64_t bytes = 0;   ///< read
    bool running = true;
    bool failed = false;
  };
  explicit RankScan(Plan plan);
  ~RankScan();
  RankScan(const RankScan&) = delete;
  RankScan& operator=(const RankScan&) = delete;

  /// Waits until nothing runs any more, at most for `timeout`.
  Status wait(std::chrono::milliseconds timeout);
  /// What the store's client has to tell, if anything.
  std::optional<std::string> notice() { return notices_.take(); }
  /// Stops the threads. Throws the error of the first shard that has one.
  Result finish();

 private:
  struct Failure {
    std::uint32_t shard;
    Error error;
  };
  void work(std::size_t threads);
  void scan_all(store::Client& client, ChunkPool& pool, const Reading& reading);
  void failed(std::uint32_t shard, const Error& error);
  void join();

  Plan plan_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::size_t> next_ = 0;  // of plan_.mine
  std::atomic<std::uint64_t> bytes_ = 0;
  Mailbox notices_;
  std::mutex mutex_;  // of all below
  std::condition_variable idle_;
  std::size_t running_ = 0;
  std::uint64_t shards_ = 0;
  std::optional<Failure> failure_;
  Result result_;
  std::vector<std::thread> threads_;
};

}  // namespace faro::manifest
