// The thread that keeps the arena full: it brings this rank's blocks in the order of their turns,
// as far ahead as the arena has room.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "base/runtime.hpp"
#include "exchange/arena.hpp"
#include "exchange/progress.hpp"
#include "exchange/schedule.hpp"
#include "fetch/fetch.hpp"
#include "loader/proof.hpp"

namespace faro::loader {

class Feeder {
 public:
  /// Keeps references to all of them; begins at once.
  /// \param proof nullptr where nothing is verified
  /// \param begin called first on the thread
  Feeder(const manifest::Manifest& manifest, const format::Format& format,
         exchange::Schedule& schedule, exchange::Arena& arena, int node_rank,
         exchange::Progress& progress, const fetch::Options& options, Proof* proof,
         std::function<void()> begin);
  /// Cancels what is in flight.
  ~Feeder();

  [[nodiscard]] fetch::Counters counters() const;

 private:
  struct Entry {  // a block in the arena, or on its way there
    std::uint64_t epoch = 0;
    std::uint64_t turn = 0;
    std::uint64_t address = 0;
    std::uint64_t block = 0;
    bool done = false;
    bool kept = false;  // the cache is not done with its bytes
  };
  void work();
  void free_released();
  /// Starts the next block of this rank; false where there is none left, or no room.
  bool start_next();
  void arrived(const fetch::Done& done);
  /// What the cache has written is its no more; one that stands still is closed.
  void take_back();
  void prove(const Entry& entry, const fetch::Job& job);
  void publish();

  const manifest::Manifest& manifest_;
  const format::Format& format_;
  exchange::Schedule& schedule_;
  exchange::Arena& arena_;
  int node_rank_;
  exchange::Progress& progress_;
  std::uint32_t rank_;
  Proof* proof_;
  fetch::BlockCache* cache_;
  fetch::Fetcher fetcher_;

  std::uint64_t epoch_ = 0;  // of the next block to start
  std::uint64_t turn_ = 0;
  std::deque<Entry> entries_;        // by turn; freed from the front
  std::uint64_t first_id_ = 0;       // entries_[i] is job first_id_ + i
  std::uint64_t ready_id_ = 0;       // all jobs below are done
  exchange::Progress::Ready ready_;  // as published last
  std::vector<std::uint64_t> finished_;
  std::unordered_set<std::uint64_t> underway_;  // blocks on their way here, and into the cache
  Clock::time_point cache_moved_ = Clock::now();

  mutable std::mutex mutex_;  // guards counters_
  fetch::Counters counters_;
  std::atomic<bool> stop_ = false;
  Thread thread_;  // last: it uses all of the above
};

}  // namespace faro::loader
