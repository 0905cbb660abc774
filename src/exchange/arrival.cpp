#include "exchange/arrival.hpp"

#include <sys/mman.h>

#include <new>

#include "base/error.hpp"

namespace faro::exchange {

struct ArrivalPool::Store {
  std::span<std::byte> memory;
  std::mutex mutex;
  std::vector<Arrival> free;

  ~Store() {
    if (!memory.empty()) munmap(memory.data(), memory.size());
  }
};

ArrivalPool::ArrivalPool(std::size_t buffers, std::uint64_t bytes)
    : store_(std::make_shared<Store>()) {
  const std::uint64_t each = align_up(bytes, 64);
  const std::uint64_t all = checked_mul(each, buffers);
  if (all > 0) {
    // Pages come with their first use: a buffer sized for the largest samples costs what it holds.
    void* at = mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(at != MAP_FAILED, ErrorCode::memory, "no memory for arrival buffers of {}",
          human_bytes(static_cast<double>(all)));
    madvise(at, all, MADV_HUGEPAGE);
    store_->memory = {static_cast<std::byte*>(at), all};
  }
  for (std::size_t i = 0; i < buffers; ++i) {
    store_->free.push_back({store_->memory.subspan(i * each, each), 0});
  }
}

std::shared_ptr<Arrival> ArrivalPool::take() {
  const std::scoped_lock lock(store_->mutex);
  if (store_->free.empty()) return nullptr;
  auto* arrival = new Arrival(store_->free.back());
  store_->free.pop_back();
  return {arrival, [store = store_](Arrival* done) {
            const std::unique_ptr<Arrival> owner(done);
            const std::scoped_lock back(store->mutex);
            store->free.push_back({done->memory, 0});
          }};
}

}  // namespace faro::exchange
