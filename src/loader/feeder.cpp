#include "loader/feeder.hpp"

#include <chrono>

#include "base/error.hpp"
#include "comm/comm.hpp"

namespace faro::loader {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// Blocks being read at once: enough to keep all requests busy, even where blocks are small.
constexpr std::size_t most_pending = 4096;
// The arena's memory, and blocks of the next epoch, wait no longer for a cache that stands still.
constexpr auto cache_patience = 30s;

}  // namespace

Feeder::Feeder(const manifest::Manifest& manifest, const format::Format& format,
               exchange::Schedule& schedule, exchange::Arena& arena, int node_rank,
               exchange::Progress& progress, const fetch::Options& options, Proof* proof,
               std::function<void()> begin)
    : manifest_(manifest),
      format_(format),
      schedule_(schedule),
      arena_(arena),
      node_rank_(node_rank),
      progress_(progress),
      rank_(static_cast<std::uint32_t>(options.rank)),
      proof_(proof),
      cache_(options.cache),
      fetcher_(manifest, format, options),
      thread_("feeder", [this, begin = std::move(begin)] {
        begin();
        work();
      }) {}

Feeder::~Feeder() {
  stop_ = true;
  fetcher_.wake();
  thread_.join();
}

fetch::Counters Feeder::counters() const {
  const std::scoped_lock lock(mutex_);
  return counters_;
}

void Feeder::work() {
  try {
    const bool resident = schedule_.options().resident;
    const std::uint64_t epochs = resident ? 1 : schedule_.options().epochs;
    std::vector<fetch::Done> done;
    while (!stop_) {
      take_back();
      free_released();
      while (fetcher_.pending() < most_pending && start_next()) {
      }
      publish();
      const bool all_started = epoch_ == epochs;
      if (all_started && fetcher_.pending() == 0) break;
      // The node's other ranks give room back without a message: look for it now and then.
      const auto patience = all_started || fetcher_.pending() >= most_pending ? 50ms : 1ms;
      if (fetcher_.pending() == 0) {
        progress_.wait(progress_.changes(), patience);
        continue;
      }
      done.clear();
      fetcher_.poll(done, patience);
      for (const auto& end : done) {
        if (end.error) throw Error(*end.error);
        arrived(end);
      }
      const std::scoped_lock lock(mutex_);
      counters_ = fetcher_.counters();
    }
    if (!stop_ && resident) progress_.set_ready({schedule_.options().epochs, 0});
  } catch (...) {
    progress_.fail(comm::current_error(static_cast<int>(rank_)));
  }
  const std::scoped_lock lock(mutex_);
  counters_ = fetcher_.counters();
}

void Feeder::free_released() {
  if (schedule_.options().resident) return;
  const auto steps = schedule_.steps_per_epoch();
  const auto released = arena_.released();
  const auto epoch = released / steps;
  std::uint64_t turn = 0;
  if (released % steps > 0 && epoch < schedule_.options().epochs) {
    const auto plan = schedule_.epoch(epoch);
    const auto position = released % steps * plan->steps.global_batch();
    turn = plan->order.window(plan->order.window_of_position(position)).first_turn;
  }
  schedule_.forget_before(epoch);
  while (!entries_.empty() && entries_.front().done &&
         std::pair(entries_.front().epoch, entries_.front().turn) < std::pair(epoch, turn)) {
    if (entries_.front().kept) return;
    entries_.pop_front();
    ++first_id_;
  }
}

void Feeder::take_back() {
  if (cache_ == nullptr) return;
  finished_.clear();
  cache_->finished(finished_);
  for (const auto id : finished_) {
    auto& entry = entries_[id - first_id_];
    entry.kept = false;
    underway_.erase(entry.block);
  }
  const auto now = Clock::now();
  if (!finished_.empty() || cache_->idle()) {
    cache_moved_ = now;
  } else if (now - cache_moved_ > cache_patience) {
    cache_->close(fmt::format("it has written nothing for {} s", cache_patience.count()));
  }
}

bool Feeder::start_next() {
  const auto& options = schedule_.options();
  const std::uint64_t epochs = options.resident ? 1 : options.epochs;
  while (epoch_ < epochs) {
    // The epoch after those that the node's consumers work on is far enough, and keeps tables few.
    const auto working = arena_.released() + options.steps_per_round + options.leases;
    if (!options.resident && epoch_ > working / schedule_.steps_per_epoch() + 1) return false;
    const auto plan = schedule_.epoch(epoch_);
    while (turn_ < plan->order.turns() && plan->order.reader(turn_) != rank_) ++turn_;
    if (turn_ == plan->order.turns()) {
      ++epoch_;
      turn_ = 0;
      continue;
    }
    const auto index = plan->order.block(turn_);
    // One that an earlier epoch is about to bring into the cache is waited for.
    if (cache_ != nullptr && underway_.contains(index)) return false;
    const auto& block = manifest_.blocks[index];
    const auto address = plan->address[turn_];
    const auto bytes = exchange::footprint(block);
    // What comes and goes is laid in the order of turns; what stays has a place of its own.
    const auto head = options.resident || entries_.empty() ? address : entries_.front().address;
    if (address + bytes - head > arena_.capacity()) return false;
    arena_.populate(address, bytes);
    auto* at = arena_.at(node_rank_, address);
    auto* extents = reinterpret_cast<format::Extent*>(at + exchange::index_offset(block));
    fetcher_.start({first_id_ + entries_.size(), index, at, extents});
    entries_.push_back({epoch_, turn_, address, index});
    if (cache_ != nullptr) underway_.insert(index);
    ++turn_;
    return true;
  }
  return false;
}

void Feeder::arrived(const fetch::Done& done) {
  const auto& job = done.job;
  auto& entry = entries_[job.id - first_id_];
  if (proof_ != nullptr) prove(entry, job);
  entry.done = true;
  if (cache_ == nullptr) return;
  if (done.cached) {
    cache_->used(job.block, entry.epoch, entry.turn);
  } else {
    const std::span<const std::byte> bytes(job.bytes, manifest_.blocks[job.block].length);
    entry.kept = cache_->put(job.id, job.block, bytes, entry.epoch, entry.turn);
  }
  if (!entry.kept) underway_.erase(job.block);
}

void Feeder::prove(const Entry& entry, const fetch::Job& job) {
  const auto& block = manifest_.blocks[job.block];
  const auto plan = schedule_.epoch(entry.epoch);
  const auto window = plan->order.window_of_turn(entry.turn);
  const auto& span = plan->order.window(window);
  std::optional<order::WindowOrder> order;  // only where the window has samples that are left out
  if (!schedule_.options().resident &&
      span.first_position + span.samples > plan->steps.delivered()) {
    order.emplace(plan->order, window);
  }
  format::ParsedSample parsed;
  Sum sum;
  for (std::uint64_t i = 0; i < block.count; ++i) {
    const auto& extent = job.extents[i];
    const auto number = block.first_sample + i;
    format_.fields({job.bytes + extent.offset, extent.length}, number, block.offset == 0 && i == 0,
                   parsed);
    const auto payload = payload_of(parsed.fields);
    sum.add(number, payload);
    if (order && order->position({entry.turn, i}) >= plan->steps.delivered()) {
      proof_->left_out(entry.epoch, number, payload);
    }
  }
  proof_->read(entry.epoch, job.block, sum);
}

void Feeder::publish() {
  while (ready_id_ < first_id_ + entries_.size() && entries_[ready_id_ - first_id_].done) {
    ++ready_id_;
  }
  exchange::Progress::Ready ready{epoch_, turn_};
  if (ready_id_ < first_id_ + entries_.size()) {
    const auto& entry = entries_[ready_id_ - first_id_];
    ready = {entry.epoch, entry.turn};
  }
  if (ready == ready_) return;
  ready_ = ready;
  progress_.set_ready(ready);
}

}  // namespace faro::loader
