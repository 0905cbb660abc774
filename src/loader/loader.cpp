#include "faro/loader.hpp"

#include <array>
#include <utility>

#include "base/error.hpp"
#include "batch/batch.hpp"
#include "comm/mpi.hpp"
#include "loader/engine.hpp"
#include "telemetry/memory.hpp"

namespace faro {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What all ranks must agree on, as the order and the plan follow from it: a seed taken from each
/// rank's clock would give every rank another epoch.
void check_same_settings(const Config& c, comm::Communicator& world) {
  const std::array<std::pair<const char*, std::uint64_t>, 18> values{{
      {"seed", c.seed},
      {"first_epoch", c.first_epoch},
      {"epochs", c.epochs},
      {"global_batch", c.global_batch},
      {"end", static_cast<std::uint64_t>(c.end)},
      {"window", static_cast<std::uint64_t>(c.window.kind)},
      {"window", c.window.bytes},
      {"leases", c.leases},
      {"node_ranks", c.node_ranks},
      {"verify", c.verify ? 1U : 0U},
      {"request_size", c.request_size},
      {"max_requests", c.max_requests},
      {"block_size", c.block_size},
      {"raw_header", c.raw_header},
      {"raw_record", c.raw_record},
      {"manifest", c.manifest.empty() ? 0U : 1U},
      {"cache", c.cache == "none"     ? 0U
                : c.cache == "memory" ? 1U
                                      : 2U},
      {"cache_limit", c.cache_limit},
  }};
  std::vector<std::uint64_t> least;
  for (const auto& [name, value] : values) least.push_back(value);
  auto most = least;
  world.all_reduce(least, comm::Op::min);
  world.all_reduce(most, comm::Op::max);
  for (std::size_t i = 0; i < values.size(); ++i) {
    check(least[i] == most[i], ErrorCode::invalid_argument,
          "{} is not the same on all ranks (from {} to {}): give every rank the same settings",
          values[i].first, least[i], most[i]);
  }
}

}  // namespace

struct Loader::Impl {
  Impl(const Config& given, MPI_Comm comm, const Log& given_log);

  std::optional<Batch> next();
  void end_epoch();

  Config config;
  Log log;
  std::unique_ptr<comm::Communicator> world;
  std::unique_ptr<comm::Communicator> node;
  loader::Dataset dataset;
  loader::RunPlan run;
  std::optional<loader::Engine> engine;

  std::uint64_t begun = 0;  // epochs
  std::uint64_t step = 0;   // of the current epoch
  bool open = false;        // an epoch is under way
  Clock::time_point epoch_start;
  EpochStats epoch;
};

Loader::Impl::Impl(const Config& given, MPI_Comm comm, const Log& given_log)
    : config(given), log(given_log) {
  comm::ensure_mpi();
  world = comm::from_mpi(comm);
  comm::together(*world, [&] { config.validate(); });
  check_same_settings(config, *world);
  node = world->split_by_node(static_cast<int>(config.node_ranks));
  dataset = loader::open_dataset(config, *world, log);
  const auto machine = loader::inspect_machine(config, *world, *node);
  comm::together(*world, [&] {
    run = loader::make_plan(dataset.manifest, config, machine);
    run.plan.index_bytes = dataset.index_cost.bytes;
    run.plan.index_requests = dataset.index_cost.requests;
    loader::check_budget(run.plan, config);
  });
  engine.emplace(config, dataset, run, *world, *node, log);
}

std::optional<Batch> Loader::Impl::next() {
  if (!open) return std::nullopt;
  if (step == run.plan.steps) {
    end_epoch();
    return std::nullopt;
  }
  const auto& leases = engine->leases();
  check(leases->age() < config.leases, ErrorCode::invalid_argument,
        "the batch of {} steps ago is still held, and leases = {}: destroy it before the next, or "
        "raise leases",
        leases->age(), config.leases);
  const auto start = Clock::now();
  auto local = engine->next();
  epoch.stall_seconds += seconds_since(start);

  const auto number = (begun - 1) * run.plan.steps + step;
  leases->take(number);
  std::optional<Batch> batch;
  try {
    batch = batch::make(std::move(local), epoch.epoch, *dataset.format,
                        [leases, number] { leases->release(number); });
  } catch (...) {
    const auto error = comm::current_error(world->rank());
    engine->fail(error);  // the others' next() throws it too
    throw Error(error);
  }
  for (const auto& sample : *batch) {
    if (sample.pad) continue;
    ++epoch.samples;
    for (const auto& field : sample.fields) epoch.bytes += field.bytes.size();
    if (auto* proof = engine->proof()) {
      proof->delivered(begun - 1, sample.number, loader::payload_of(sample.fields));
    }
  }
  if (step == 0) epoch.time_to_first_batch_seconds = seconds_since(epoch_start);
  ++step;
  return batch;
}

void Loader::Impl::end_epoch() {
  open = false;
  engine->close_epoch(begun - 1);
  epoch.seconds = seconds_since(epoch_start);
  epoch.verified = config.verify;
  if (auto* cache = engine->cache(); cache != nullptr && log) {
    if (const auto warning = cache->take_warning()) {
      log(fmt::format("warning (rank {}): {}", world->rank(), *warning));
    }
  }
}

Loader::Loader(const Config& config, MPI_Comm comm, Log log)
    : impl_(std::make_unique<Impl>(config, comm, log)) {}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

const Plan& Loader::plan() const noexcept {
  return impl_->run.plan;
}

bool Loader::begin_epoch() {
  auto& self = *impl_;
  while (self.open) self.next();
  if (self.begun == self.config.epochs) return false;
  self.epoch = {};
  self.epoch.epoch = self.config.first_epoch + self.begun++;
  self.epoch_start = Clock::now();
  self.step = 0;
  self.open = true;
  return true;
}

std::optional<Batch> Loader::next() {
  return impl_->next();
}

EpochStats Loader::epoch_stats() const {
  auto stats = impl_->epoch;
  if (impl_->open) stats.seconds = seconds_since(impl_->epoch_start);
  return stats;
}

LoaderStats Loader::stats() const {
  const auto counters = impl_->engine->counters();
  LoaderStats stats;
  stats.store_bytes = counters.bytes;
  stats.store_requests = counters.requests;
  stats.retries = counters.retries;
  const auto& by = counters.store.retries_by;
  const auto of = [&by](store::RetryCause cause) { return by[static_cast<std::size_t>(cause)]; };
  using store::RetryCause;
  stats.retries_by = {.connection = of(RetryCause::connection),
                      .timeout = of(RetryCause::timeout),
                      .throttled = of(RetryCause::throttled),
                      .server_error = of(RetryCause::server_error),
                      .truncated = of(RetryCause::truncated),
                      .wrong = of(RetryCause::wrong),
                      .expired = of(RetryCause::expired),
                      .corrupt = counters.corrupt};
  stats.hedges = counters.store.hedges;
  stats.hedges_won = counters.store.hedges_won;
  stats.peak_requests = counters.peak_requests;
  stats.wasted_bytes = counters.wasted_bytes;
  stats.remote_bytes = impl_->engine->received_bytes();
  stats.peak_mapped_bytes = telemetry::peak_resident();
  stats.peak_rss_bytes = stats.peak_mapped_bytes -
                         std::min(stats.peak_mapped_bytes, impl_->engine->neighbours_resident());
  stats.cache_hits = counters.cache_hits;
  stats.cache_bytes = counters.cache_bytes;
  if (const auto* cache = impl_->engine->cache()) {
    const auto kept = cache->counters();
    stats.cache_written_bytes = kept.written_bytes;
    stats.cache_dropped = kept.dropped;
    stats.peak_rss_bytes += cache->memory();
  }
  return stats;
}

}  // namespace faro
