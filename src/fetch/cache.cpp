#include "fetch/cache.hpp"

#include <csignal>
#include <utility>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "fetch/cache_keeper.hpp"

namespace faro::fetch {

struct BlockCache::Worker {
  Worker(std::unique_ptr<Foresight> given, std::uint64_t blocks)
      : foresight(std::move(given)), keeper(*foresight, blocks) {}

  std::unique_ptr<Foresight> foresight;
  Keeper keeper;
  std::vector<bool> present;  // by block, before the job
};

BlockCache::BlockCache(const CacheOptions& options, const manifest::Manifest& manifest,
                       comm::Communicator& node, std::unique_ptr<Foresight> foresight)
    : options_(options),
      manifest_(manifest),
      ranks_(static_cast<std::uint64_t>(node.size())),
      keys_(manifest),
      worker_(std::make_unique<Worker>(std::move(foresight), manifest.blocks.size())) {
  space_ = options.where == "memory" ? make_memory_space(options.limit, manifest, node)
                                     : make_directory_space(options.where, options.limit, manifest,
                                                            keys_, node, worker_->present);
  // What is there already is divided among the ranks: each may remove its part.
  const auto rank = static_cast<std::uint64_t>(node.rank());
  for (std::uint64_t block = 0; block < worker_->present.size(); ++block) {
    if (block % ranks_ != rank) worker_->present[block] = false;
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

BlockCache::~BlockCache() = default;

std::optional<Entry> BlockCache::entry_of(std::uint64_t block) const {
  const auto key = keys_.of(block);
  if (!key) return std::nullopt;
  return Entry{block, *key, manifest_.blocks[block].length};
}

std::optional<Place> BlockCache::find(std::uint64_t block) {
  const auto entry = entry_of(block);
  return entry ? space_->find(*entry) : std::nullopt;
}

bool BlockCache::matches(const EntryHeader& header, std::uint64_t block,
                         std::uint32_t crc32c) const {
  const auto& its = manifest_.blocks[block];
  const auto entry = entry_of(block);
  return entry && header.is_of(*entry) && header.payload_crc == crc32c &&
         ((its.flags & manifest::Block::has_crc) == 0 || its.crc32c == crc32c);
}

void BlockCache::add(const Task& task) {
  {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back(task);
  }
  changed_.notify_one();
}

void BlockCache::used(std::uint64_t block, std::uint64_t epoch, std::uint64_t turn) {
  add({Task::Kind::used, 0, block, {}, epoch, turn});
}

void BlockCache::damaged(std::uint64_t block) {
  add({Task::Kind::damaged, 0, block, {}, 0, 0});
}

bool BlockCache::put(std::uint64_t id, std::uint64_t block, std::span<const std::byte> bytes,
                     std::uint64_t epoch, std::uint64_t turn) {
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) {
      ++counters_.dropped;
      return false;
    }
    tasks_.push_back({Task::Kind::put, id, block, bytes, epoch, turn});
  }
  changed_.notify_one();
  return true;
}

void BlockCache::finished(std::vector<std::uint64_t>& ids) {
  const std::scoped_lock lock(mutex_);
  ids.insert(ids.end(), finished_.begin(), finished_.end());
  finished_.clear();
}

bool BlockCache::idle() const {
  const std::scoped_lock lock(mutex_);
  return tasks_.empty() && !busy_;
}

void BlockCache::close(const std::string& why) {
  const std::scoped_lock lock(mutex_);
  close_locked(why);
}

void BlockCache::close_locked(const std::string& why) {
  if (closed_) return;
  closed_ = true;
  warning_ = fmt::format("the cache takes no more blocks: {}", why);
  for (const auto& task : tasks_) {
    if (task.kind != Task::Kind::put) continue;
    finished_.push_back(task.id);
    ++counters_.dropped;
  }
  tasks_.clear();
}

std::optional<std::string> BlockCache::take_warning() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(warning_, std::nullopt);
}

CacheCounters BlockCache::counters() const {
  const std::scoped_lock lock(mutex_);
  return counters_;
}

void BlockCache::work(std::stop_token stop) {
  // A file beyond the process's limit (ulimit -f) is then an error of the write, not the end.
  sigset_t too_large;
  sigemptyset(&too_large);
  sigaddset(&too_large, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &too_large, nullptr);

  bool begun = false;
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !tasks_.empty(); }) && !stop.stop_requested()) {
    const auto task = tasks_.front();
    tasks_.pop_front();
    busy_ = true;
    const bool closed = closed_;
    lock.unlock();
    std::optional<std::string> failure;
    try {
      if (!std::exchange(begun, true)) {
        worker_->foresight->advance(0, 0);
        for (std::uint64_t block = 0; block < worker_->present.size(); ++block) {
          if (worker_->present[block]) worker_->keeper.add(block);
        }
        worker_->present = {};
      }
      if (!closed) run(task);
    } catch (const std::exception& error) {
      failure = error.what();
    }
    lock.lock();
    busy_ = false;
    if (failure) close_locked(*failure);
    if (task.kind == Task::Kind::put) finished_.push_back(task.id);
    if (failure && task.kind == Task::Kind::put) ++counters_.dropped;
  }
}

void BlockCache::run(const Task& task) {
  const auto entry = entry_of(task.block);
  if (!entry) return;
  auto& keeper = worker_->keeper;
  switch (task.kind) {
    case Task::Kind::put: keep(task); break;
    case Task::Kind::used:
      keeper.advance(task.epoch, task.turn);
      keeper.add(task.block);  // whoever put it there: this rank knows it now
      space_->touch(*entry);
      break;
    case Task::Kind::damaged:
      keeper.forget(task.block);
      space_->remove(*entry);
      const std::scoped_lock lock(mutex_);
      ++counters_.dropped;
      break;
  }
}

void BlockCache::keep(const Task& task) {
  const auto& block = manifest_.blocks[task.block];
  const auto entry = *entry_of(task.block);
  auto& keeper = worker_->keeper;
  keeper.advance(task.epoch, task.turn);
  const bool checked = (block.flags & manifest::Block::has_crc) != 0;
  const auto header = EntryHeader::make(entry, checked ? block.crc32c : crc32c(task.bytes));
  for (;;) {
    const auto result = space_->put(entry, header, task.bytes);
    if (result != CacheSpace::Put::full) {
      keeper.add(task.block);
      if (result == CacheSpace::Put::present) return;
      const std::scoped_lock lock(mutex_);
      counters_.written_bytes += entry.length;
      return;
    }
    if (space_->remove_stranger()) continue;
    const auto other = keeper.give_up_for(task.block, task.epoch);
    if (!other) return;  // what is there is needed as soon
    if (const auto victim = entry_of(*other)) space_->remove(*victim);
    keeper.forget(*other);
  }
}

}  // namespace faro::fetch
