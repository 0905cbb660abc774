#include "loader/engine.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "loader/foresight.hpp"
#include "telemetry/memory.hpp"

namespace faro::loader {
namespace {

// The last blocks of a run are given that long to reach the cache.
constexpr double cache_seconds = 60;

/// While the consumer waits for its exchange.
class Waiting {
 public:
  explicit Waiting(exchange::Exchange& exchange) : exchange_(exchange) {
    exchange.set_consumer_waits(true);
  }
  ~Waiting() { exchange_.set_consumer_waits(false); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  exchange::Exchange& exchange_;
};

exchange::ScheduleOptions schedule_options(const Config& config, const RunPlan& run) {
  return {config.seed,
          config.first_epoch,
          config.epochs,
          run.plan.window_bytes,
          config.global_batch,
          config.end,
          static_cast<std::uint32_t>(run.plan.ranks),
          run.plan.steps_per_round,
          config.leases,
          run.capacity,
          run.plan.resident};
}

/// The arena, or the same error on all ranks of the job where one node has no room for it.
exchange::Arena take_arena(comm::Communicator& world, comm::Communicator& node,
                           std::uint64_t capacity, Placing& placing) {
  std::optional<exchange::Arena> arena;
  comm::together(world, [&] {
    arena.emplace(node, capacity, [&](std::span<std::byte> memory) { placing.prepare(memory); });
  });
  return std::move(*arena);
}

/// Collective; nothing where the configuration has no cache, or a window that holds all blocks
/// anyway makes memory for them pointless.
std::unique_ptr<fetch::BlockCache> open_cache(const Config& config, const Dataset& dataset,
                                              const exchange::ScheduleOptions& schedule,
                                              comm::Communicator& world) {
  if (config.cache == "none" || (config.cache == "memory" && schedule.resident)) return nullptr;
  const auto node = world.split_by_node(0);  // node_ranks may divide it, the cache it does not
  std::vector<bool> here;
  const auto nodes = map_nodes(world, *node);
  for (const auto other : nodes)
    here.push_back(other == nodes[static_cast<std::size_t>(world.rank())]);
  std::unique_ptr<fetch::BlockCache> cache;
  std::optional<Error> error;
  try {
    cache = std::make_unique<fetch::BlockCache>(
        fetch::CacheOptions{config.cache, config.cache_limit}, dataset.manifest, *node,
        std::make_unique<NodeForesight>(dataset.manifest, schedule, std::move(here),
                                        config.cache_limit));
  } catch (...) {  // the same on all ranks of the node
    error = comm::current_error(world.rank());
  }
  comm::agree(world, error);
  return cache;
}

}  // namespace

void Backoff::pause(exchange::Progress& progress, std::uint64_t seen) {
  if (turns_++ < 8) {
    yield();
    return;
  }
  const auto sleep = std::min(50U * (turns_ - 8), 1000U);
  progress.wait(seen, std::chrono::microseconds(sleep));
}

Engine::Engine(const Config& config, const Dataset& dataset, const RunPlan& run,
               comm::Communicator& world, comm::Communicator& node, Loader::Log log,
               const std::optional<DeviceArrivals>& arrivals)
    : config_(config),
      dataset_(dataset),
      node_(node),
      log_(world.rank() == 0 ? std::move(log) : nullptr),
      rounds_(world.duplicate()),
      proofs_(world.duplicate()),
      nodes_(map_nodes(world, node)),
      schedule_(dataset.manifest, schedule_options(config, run)),
      placing_(config, world, node.size() > 1),
      arena_(take_arena(world, node, run.capacity, placing_)),
      leases_(std::make_shared<Leases>(arena_, progress_,
                                       !run.plan.resident || run.remote.has_value())),
      threaded_(world.concurrent()) {
  exchange::ExchangeOptions options;
  options.nodes = nodes_;
  if (run.remote) {
    options.way = run.remote->way;
    options.parts = run.remote->parts;
    options.send_bytes = run.remote->send_bytes;
    options.message_limit = run.remote->piece_bytes;
    options.usual_bytes = run.remote->usual_bytes;
    take_arrivals(*run.remote, world, arrivals);
    if (arrivals) options.hide = make_hide(*dataset.format, arrivals->programs);
  }
  options.heartbeat = std::min(1.0, config.peer_timeout / 4);
  options.grace = std::clamp(config.peer_timeout / 4, 1.0, 5.0);
  auto store = store::options_of(config);
  store.ranks = narrow<unsigned>(world.size());
  store.transports = dataset.transports;
  store.pressure = options.pressure = std::make_shared<store::Pressure>();
  store.reader_begins = [this] { placing_.unbind(); };
  if (log_) store.notice = [this](const std::string& line) { notices_.leave(line); };
  comm::together(world, [&] {
    if (config.verify) proof_.emplace(dataset.manifest, run.plan.resident);
    exchange_ = std::make_unique<exchange::Exchange>(dataset.manifest, schedule_, arena_,
                                                     arrivals_ ? &*arrivals_ : nullptr, *rounds_,
                                                     progress_, options);
  });
  cache_ = open_cache(config, dataset, schedule_.options(), world);
  comm::together(world, [&] {
    feeder_ = std::make_unique<Feeder>(dataset.manifest, *dataset.format, schedule_, arena_,
                                       node.rank(), progress_,
                                       fetch::Options{std::move(store), config.request_size,
                                                      run.capacity, world.rank(), cache_.get()},
                                       proof(), [this] { placing_.bind_fetch(); });
  });
  if (threaded_) thread_ = Thread("exchange", [this] { drive(); });
}

void Engine::take_arrivals(const Remote& remote, comm::Communicator& world,
                           const std::optional<DeviceArrivals>& arrivals) {
  const bool shared = remote.way == exchange::Way::gathered && node_.size() > 1;
  comm::together(world, [&] {
    arrivals_.emplace(remote.arrivals, shared ? &node_ : nullptr);
    if (arrivals) {
      device_ = arrivals->device;
      device_memory_ = device_->allocate(arrivals_->buffers_memory().size());
      arrivals_->mirror_to(device_memory_->bytes());
      return;
    }
    // What most rounds use; the rest comes where one needs it.
    const auto usual = remote.usual_bytes / 8 * 9;
    arrivals_->prepare(usual * (shared ? static_cast<std::uint64_t>(node_.size()) : 1));
  });
}

Engine::~Engine() {
  progress_.miss_meetings(meetings_);
  progress_.stop();
  const Waiting waiting(*exchange_);
  const auto start = Clock::now();
  Backoff backoff;
  while (!exchange_->finished()) {
    const auto seen = progress_.changes();
    if (threaded_ || !step()) backoff.pause(progress_, seen);
    if (seconds_since(start) > config_.peer_timeout) exchange_->give_up(config_.peer_timeout);
  }
  if (thread_.joinable()) thread_.join();
  if (exchange_->failure()) {  // other ranks may have begun what this one will not come to
    rounds_->leave_behind();
    proofs_->leave_behind();
  }
  feeder_.reset();
  cache_.reset();  // it reads the arena
  // Messages may still come to it; the node's other ranks let go of theirs by themselves.
  if (arrivals_ && exchange_->arrivals_in_danger()) {
    arrivals_->abandon();
    static_cast<void>(device_memory_.release());
  }
  leases_->close();
}

bool Engine::step() noexcept {
  try {
    if (!device_) return exchange_->advance();
    bool moved = false;
    device_->with_current([&] { moved = exchange_->advance(); });
    return moved;
  } catch (...) {
    exchange_->abandon(comm::current_error(rounds_->rank()));
    return true;
  }
}

void Engine::drive() {
  placing_.bind_exchange();
  sleep_sharply();
  Backoff backoff;
  while (!exchange_->finished()) {
    placing_.keep_off_consumer();
    const auto seen = progress_.changes();
    if (step()) {
      backoff.reset();
    } else if (exchange_->waits_for_itself()) {
      progress_.wait(seen, exchange_->patience());
    } else {
      backoff.pause(progress_, seen);
    }
  }
}

exchange::LocalBatch Engine::next() {
  placing_.consumer_is_here();
  pass_on_notices();
  if (auto batch = exchange_->take()) return std::move(*batch);
  const Waiting waiting(*exchange_);
  const auto start = Clock::now();
  Backoff backoff;
  for (;;) {
    pass_on_notices();
    const auto seen = progress_.changes();
    const bool over = exchange_->finished();  // before the look for batches: they come first
    if (auto batch = exchange_->take()) return std::move(*batch);
    if (auto error = exchange_->error()) throw Error(*error);
    check(!over, ErrorCode::internal, "the exchange ended before the epoch");
    if (threaded_) {
      progress_.wait(seen, std::chrono::milliseconds(20));
    } else if (step()) {
      backoff.reset();
      continue;
    } else {
      backoff.pause(progress_, seen);
    }
    const auto silence = std::min(exchange_->silence(), seconds_since(start));
    if (silence > config_.peer_timeout) exchange_->give_up(silence);
  }
}

void Engine::pass_on_notices() {
  if (!log_) return;
  if (const auto line = notices_.take()) log_(*line);
}

void Engine::meet(std::unique_ptr<comm::Operation> operation) {
  const auto meeting = meetings_++;
  const Waiting waiting(*exchange_);
  const auto start = Clock::now();
  Backoff backoff;
  while (!operation->done()) {
    const auto seen = progress_.changes();
    if (!threaded_) step();
    backoff.pause(progress_, seen);
    auto failure = exchange_->failure(meeting);
    const double seconds = seconds_since(start);
    if (!failure && seconds <= config_.peer_timeout) continue;
    if (!failure && !exchange_->finished()) {
      exchange_->give_up(seconds);  // it fails soon, and says for whom
      continue;
    }
    if (!failure) failure = exchange_->failure();  // and then somebody has left all the same
    static_cast<void>(operation.release());        // peers will not come: it would be for ever
    if (failure) throw Error(*failure);
    faro::fail(ErrorCode::peer, "a rank has not come to the end within {:.0f} s (peer_timeout)",
               config_.peer_timeout);
  }
}

void Engine::await_end() {
  const Waiting waiting(*exchange_);
  Backoff backoff;
  while (!exchange_->finished()) {
    const auto seen = progress_.changes();
    if (threaded_ || !step()) backoff.pause(progress_, seen);
    if (const auto silence = exchange_->silence(); silence > config_.peer_timeout) {
      exchange_->give_up(silence);
    }
  }
  if (const auto failure = exchange_->failure()) throw Error(*failure);
}

void Engine::agree(const std::optional<Error>& mine) {
  auto failed = std::make_unique<std::array<std::uint64_t, 1>>();
  (*failed)[0] = mine ? 1 : 0;
  auto operation = proofs_->start_all_reduce(*failed, comm::Op::max);
  try {
    meet(std::move(operation));
  } catch (...) {
    static_cast<void>(failed.release());  // the operation may still write to it
    throw;
  }
  if ((*failed)[0] != 0) comm::agree(*proofs_, mine);
}

void Engine::close_epoch(std::uint64_t epoch) {
  const bool last = epoch + 1 == config_.epochs;
  if (last) progress_.end();
  const auto plan = schedule_.options().resident ? schedule_.epoch(epoch) : nullptr;
  if (proof_) {
    if (plan) count_left_out(epoch);
    const order::Steps steps(dataset_.manifest.samples, config_.global_batch,
                             static_cast<std::uint32_t>(proofs_->size()), config_.end);
    proof_->close(epoch, steps.delivered(), *proofs_,
                  [this](auto operation) { meet(std::move(operation)); });
  }
  if (plan) schedule_.forget_before(epoch + 1);
  if (!last) return;
  await_end();
  if (cache_) await_cache();
}

void Engine::await_cache() {
  const auto start = Clock::now();
  Backoff backoff;
  while (!cache_->idle()) {
    const auto seen = progress_.changes();
    if (!threaded_) step();
    backoff.pause(progress_, seen);
    if (seconds_since(start) > cache_seconds) {
      cache_->close(fmt::format("the last blocks took it more than {} s", cache_seconds));
      return;
    }
  }
}

void Engine::count_left_out(std::uint64_t epoch) {
  const auto plan = schedule_.epoch(epoch);
  exchange::Windows windows;
  windows.use(plan);
  format::ParsedSample parsed;
  for (auto position = plan->steps.delivered(); position < plan->order.samples(); ++position) {
    const auto place = windows.at_position(position).place(position);
    if (plan->order.reader(place.turn) != static_cast<std::uint32_t>(proofs_->rank())) continue;
    const auto& block = dataset_.manifest.blocks[plan->order.block(place.turn)];
    const auto number = block.first_sample + place.index;
    dataset_.format->fields(
        exchange::sample_in_arena(dataset_.manifest, arena_, *plan, node_.rank(), place).bytes,
        number, block.offset == 0 && place.index == 0, parsed);
    proof_->left_out(epoch, number, payload_of(parsed.fields));
  }
}

std::vector<std::span<std::byte>> Engine::memory() const {
  const auto segments = arena_.segments();
  std::vector<std::span<std::byte>> memory(segments.begin(), segments.end());
  if (arrivals_ && !arrivals_->mirrored()) memory.push_back(arrivals_->memory());
  return memory;
}

placement::Mirror Engine::mirror() const {
  if (!arrivals_ || !arrivals_->mirrored()) return {};
  return {arrivals_->buffers_memory(), device_memory_->bytes().data()};
}

std::uint64_t Engine::shared_resident() const {
  if (node_.size() == 1) return 0;
  auto memory = std::vector(arena_.segments().begin(), arena_.segments().end());
  if (arrivals_ && arrivals_->shared()) memory.push_back(arrivals_->memory());
  return telemetry::resident_in(memory);
}

std::uint64_t Engine::shared_share() const {
  if (node_.size() == 1) return 0;
  return arena_.populated() + (arrivals_ && arrivals_->shared() ? arrivals_->peak_share() : 0);
}

}  // namespace faro::loader
