#include "placement/workers.hpp"

namespace faro::placement {

Workers::Workers(std::uint32_t threads) {
  threads_.reserve(threads);
  for (std::uint32_t i = 0; i < threads; ++i) {
    threads_.emplace_back("transform", [this, i] { run(i); });
  }
}

Workers::~Workers() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::start(std::size_t items, Work work) {
  {
    const std::scoped_lock lock(mutex_);
    work_ = std::move(work);
    items_ = items;
    next_ = 0;
    busy_ = threads_.size();
    ++jobs_;
  }
  changed_.notify_all();
}

void Workers::finish() {
  work_on(threads_.size());
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return busy_ == 0; });
}

void Workers::work_on(std::size_t worker) {
  for (auto item = next_++; item < items_; item = next_++) work_(worker, item);
}

void Workers::run(std::size_t worker) {
  std::unique_lock lock(mutex_);
  for (std::uint64_t done = 0;;) {
    changed_.wait(lock, [&] { return ending_ || jobs_ > done; });
    if (ending_) return;
    done = jobs_;
    lock.unlock();
    work_on(worker);
    lock.lock();
    if (--busy_ == 0) changed_.notify_all();
  }
}

}  // namespace faro::placement
