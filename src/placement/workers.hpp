// Threads that share the samples of a batch among themselves and with the thread that waits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/runtime.hpp"

namespace faro::placement {

/// One job at a time. start() and finish() by one thread.
class Workers {
 public:
  /// \param worker number from 0; the number of threads is that of the one that calls finish()
  using Work = std::function<void(std::size_t worker, std::size_t item)>;

  explicit Workers(std::uint32_t threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Begins to call `work`, which must not throw, for each item below `items`.
  void start(std::size_t items, Work work);
  /// Works on what no thread has begun, and waits for the rest.
  void finish();

 private:
  void run(std::size_t worker);
  void work_on(std::size_t worker);

  std::mutex mutex_;
  Condition changed_{"transforms"};
  Work work_;                          // changes only while no thread is busy
  std::size_t items_ = 0;              // likewise
  std::atomic<std::size_t> next_ = 0;  // item
  std::uint64_t jobs_ = 0;
  std::size_t busy_ = 0;  // threads
  bool ending_ = false;
  std::vector<Thread> threads_;
};

}  // namespace faro::placement
