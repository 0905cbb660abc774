// The batches that a consumer holds, and what it has given back.
#pragma once

#include <mutex>
#include <set>

#include "exchange/arena.hpp"
#include "exchange/progress.hpp"

namespace faro::loader {

/// Thread safe. Batches share it, so that one that outlives its loader does no harm by itself.
class Leases {
 public:
  /// \param awaited whether anybody waits for the memory that is given back
  Leases(exchange::Arena& arena, exchange::Progress& progress, bool awaited)
      : arena_(&arena), progress_(&progress), awaited_(awaited) {}

  /// A batch of a step (counted over the run) is handed out. Steps are taken in order.
  void take(std::uint64_t step) {
    const std::scoped_lock lock(mutex_);
    held_.insert(step);
    next_ = step + 1;
  }
  void release(std::uint64_t step) {
    const std::scoped_lock lock(mutex_);
    held_.erase(step);
    if (arena_ == nullptr) return;
    arena_->publish_released(held_.empty() ? next_ : *held_.begin());
    if (awaited_) progress_->notify();
  }
  /// How many steps before the next one the oldest batch is that is still held; 0 for none.
  [[nodiscard]] std::uint64_t age() const {
    const std::scoped_lock lock(mutex_);
    return held_.empty() ? 0 : next_ - *held_.begin();
  }
  /// The loader goes.
  void close() {
    const std::scoped_lock lock(mutex_);
    arena_ = nullptr;
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::uint64_t> held_;
  std::uint64_t next_ = 0;
  exchange::Arena* arena_;
  exchange::Progress* progress_;
  bool awaited_;
};

}  // namespace faro::loader
