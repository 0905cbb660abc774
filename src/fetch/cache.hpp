// Blocks that are kept on the node, for later epochs and, in a directory, for later jobs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/comm.hpp"
#include "fetch/cache_entry.hpp"
#include "fetch/cache_space.hpp"

namespace faro::fetch {

/// When this node's ranks read which block, as far as the order is looked into. A moment is an
/// epoch's index in the run times the number of blocks, and the turn. One thread uses it.
class Foresight {
 public:
  /// The moment of what is not read any more in this run.
  static constexpr std::uint64_t never = UINT64_MAX;
  /// And of what is read later than it looks.
  static constexpr std::uint64_t later = never - 1;
  virtual ~Foresight() = default;
  /// Time goes on to that turn of an epoch; its moment.
  virtual std::uint64_t advance(std::uint64_t epoch, std::uint64_t turn) = 0;
  /// The moment at which the node reads the block for the first time after now.
  [[nodiscard]] virtual std::uint64_t next_read(std::uint64_t block) const = 0;
};

struct CacheOptions {
  std::string where;        ///< "memory", or a directory
  std::uint64_t limit = 0;  ///< bytes of the node
};

struct CacheCounters {
  std::uint64_t written_bytes = 0;  ///< of blocks that it took
  std::uint64_t dropped = 0;  ///< blocks that it could not take: a failed write, a full disk; and
                              ///< those that it had, but damaged
};

/// The cache of one rank: a share in what all ranks of the node, and for a directory other jobs,
/// keep together. Its failures fail nothing: it then takes no more blocks, and says why. What it is
/// given is written by a thread of its own, straight from where it lies.
/// Of its members find() and put() belong to one thread, the others to any.
class BlockCache {
 public:
  /// Collective over the ranks of the node. Keeps a reference to the manifest.
  /// Errors, on all ranks of the node: a directory that cannot be used, no memory.
  BlockCache(const CacheOptions& options, const manifest::Manifest& manifest,
             comm::Communicator& node, std::unique_ptr<Foresight> foresight);
  /// What still waits to be written is not.
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  /// Where the block may be read from; whoever reads it checks it with matches().
  [[nodiscard]] std::optional<Place> find(std::uint64_t block);
  /// Whether what was found there is the block.
  /// \param crc32c of the bytes
  [[nodiscard]] bool matches(const EntryHeader& header, std::uint64_t block,
                             std::uint32_t crc32c) const;
  /// The block came from the cache, at its turn of an epoch (index in the run).
  void used(std::uint64_t block, std::uint64_t epoch, std::uint64_t turn);
  /// What find() told was not the block: it goes.
  void damaged(std::uint64_t block);

  /// Offers a block that came from the store. Whether its bytes must stay as they are until `id`
  /// is among those that are finished().
  bool put(std::uint64_t id, std::uint64_t block, std::span<const std::byte> bytes,
           std::uint64_t epoch, std::uint64_t turn);
  /// Appends the ids of the blocks that it is done with.
  void finished(std::vector<std::uint64_t>& ids);
  /// Whether nothing waits to be written.
  [[nodiscard]] bool idle() const;
  /// Takes no more blocks, and writes none that waits.
  void close(const std::string& why);
  /// Why it takes no more blocks; told once.
  [[nodiscard]] std::optional<std::string> take_warning();
  [[nodiscard]] CacheCounters counters() const;
  /// This rank's share of the memory that the node's cache takes.
  [[nodiscard]] std::uint64_t memory() const { return space_->memory() / ranks_; }

 private:
  struct Task {
    enum class Kind { put, used, damaged };
    Kind kind = Kind::put;
    std::uint64_t id = 0;
    std::uint64_t block = 0;
    std::span<const std::byte> bytes;
    std::uint64_t epoch = 0;
    std::uint64_t turn = 0;
  };
  struct Worker;  // what the thread alone uses

  [[nodiscard]] std::optional<Entry> entry_of(std::uint64_t block) const;
  void add(const Task& task);
  void work(std::stop_token stop);
  void run(const Task& task);
  void keep(const Task& task);
  void close_locked(const std::string& why);

  const CacheOptions options_;
  const manifest::Manifest& manifest_;
  const std::uint64_t ranks_;  // of the node
  Keys keys_;
  std::unique_ptr<CacheSpace> space_;
  std::unique_ptr<Worker> worker_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  std::deque<Task> tasks_;
  bool busy_ = false;  // the thread is at a task
  bool closed_ = false;
  std::optional<std::string> warning_;
  std::vector<std::uint64_t> finished_;
  CacheCounters counters_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace faro::fetch
