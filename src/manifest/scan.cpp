#include "manifest/scan.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "comm/comm.hpp"

namespace faro::manifest {
namespace {

/// Threads and requests of a rank: enough to hide a store's latency, and 32 MiB of memory at most.
constexpr std::size_t most_threads = 4;
constexpr std::size_t most_chunks = 16;
constexpr std::uint64_t largest_chunk = 2U << 20U;
constexpr std::uint64_t smallest_chunk = 64U << 10U;

/// Cuts a shard into blocks while its samples are found. Only their starts are known, so a block
/// closes at the start where another sample as large as its largest would take it past the target.
class BlockSink final : public format::SampleSink {
 public:
  BlockSink(std::uint32_t shard, std::uint64_t target, ShardReader& reader, SizeHistogram& sizes)
      : shard_(shard), target_(target), reader_(reader), sizes_(sizes) {}

  void sample(std::uint64_t offset) override {
    if (any_) {
      end_sample(offset);
      const std::uint64_t length = offset - begin_;
      if (length >= target_ || largest_ > target_ - length || count_ == UINT32_MAX) close(offset);
    }
    any_ = true;
    last_ = offset;
  }
  void reached(std::uint64_t offset) override { reader_.certain(offset); }

  std::vector<Block> finish(std::uint64_t size) {
    if (any_) {
      end_sample(size);
      close(size);
    }
    return std::move(blocks_);
  }

 private:
  void end_sample(std::uint64_t end) {
    sizes_.add(end - last_);
    largest_ = std::max(largest_, end - last_);
    ++count_;
  }
  void close(std::uint64_t end) {
    const auto crc = reader_.cut(end);
    blocks_.push_back({.shard = shard_,
                       .crc32c = crc.value_or(0),
                       .offset = begin_,
                       .length = end - begin_,
                       .count = count_,
                       .flags = crc ? Block::has_crc : 0});
    begin_ = end;
    largest_ = 0;
    count_ = 0;
  }

  std::uint32_t shard_;
  std::uint64_t target_;
  ShardReader& reader_;
  SizeHistogram& sizes_;
  std::vector<Block> blocks_;
  bool any_ = false;
  std::uint64_t last_ = 0;     // start of the sample that is open
  std::uint64_t begin_ = 0;    // of the block
  std::uint64_t largest_ = 0;  // sample of the block
  std::uint32_t count_ = 0;    // ended samples of the block
};

/// The error with the shard's name in it.
Error name_shard(const Error& error, const Shard& shard) {
  const std::string name = store::redacted(shard.uri);
  const std::string what = error.what();
  if (what.find(name) != std::string::npos) return error;
  return {error.code(), fmt::format("{}: {}", name, what), error.rank()};
}

}  // namespace

std::vector<Block> scan_shard(const format::Format& format, std::uint32_t index,
                              std::uint64_t target, ShardReader& reader, SizeHistogram& sizes) {
  BlockSink sink(index, target, reader, sizes);
  format.scan(reader, {}, sink);
  auto blocks = sink.finish(reader.size());
  reader.finish();
  return blocks;
}

RankScan::RankScan(Plan plan) : plan_(std::move(plan)) {
  const std::size_t threads = std::min(most_threads, plan_.mine.size());
  plan_.store.notice = [this](const std::string& line) { notices_.leave(line); };
  running_ = threads;
  try {
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this, threads] { work(threads); });
    }
  } catch (...) {
    stop_ = true;
    join();
    throw;
  }
}

RankScan::~RankScan() {
  stop_ = true;
  join();
}

void RankScan::join() {
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void RankScan::work(std::size_t threads) {
  const Reading reading{.all = plan_.checksums,
                        .chunk = std::clamp(plan_.largest_request, smallest_chunk, largest_chunk),
                        .ahead = std::clamp<std::size_t>(plan_.store.max_requests / threads, 2,
                                                         most_chunks / threads),
                        .stop = &stop_,
                        .bytes_read = &bytes_};
  try {
    // In this order: the client writes into the pool until it is destroyed.
    ChunkPool pool(reading.chunk);
    store::Client client(plan_.store);
    scan_all(client, pool, reading);
    const std::lock_guard lock(mutex_);
    result_.cost.bytes += client.counters().bytes;
    result_.cost.requests += client.counters().requests;
  } catch (...) {
    failed(0, comm::current_error(-1));
  }
  const std::lock_guard lock(mutex_);
  --running_;
  idle_.notify_all();
}

void RankScan::scan_all(store::Client& client, ChunkPool& pool, const Reading& reading) {
  SizeHistogram sizes;
  for (std::size_t i = next_++; i < plan_.mine.size() && !stop_; i = next_++) {
    const std::uint32_t index = plan_.mine[i];
    const Shard& shard = plan_.shards[index];
    try {
      ShardReader reader(client, pool, shard, reading);
      const auto blocks = scan_shard(*plan_.format, index, plan_.target, reader, sizes);
      const std::lock_guard lock(mutex_);
      result_.blocks.insert(result_.blocks.end(), blocks.begin(), blocks.end());
      ++shards_;
    } catch (...) {
      // The reader's requests may be in flight still: the client ends with this thread.
      failed(index, name_shard(comm::current_error(-1), shard));
      return;
    }
  }
  const std::lock_guard lock(mutex_);
  result_.sizes.merge(sizes);
}

void RankScan::failed(std::uint32_t shard, const Error& error) {
  const bool stopped = stop_.exchange(true) && error.code() == ErrorCode::stopped;
  const std::lock_guard lock(mutex_);
  if (stopped || (failure_ && failure_->shard <= shard)) return;
  failure_.emplace(Failure{shard, error});
}

RankScan::Status RankScan::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  idle_.wait_for(lock, timeout, [this] { return running_ == 0; });
  return {shards_, bytes_, running_ > 0, failure_.has_value()};
}

RankScan::Result RankScan::finish() {
  if (wait(std::chrono::milliseconds(0)).running) stop_ = true;
  join();
  if (failure_) throw failure_->error;
  return std::move(result_);
}

}  // namespace faro::manifest
