#include "loader/session.hpp"

#include <array>
#include <utility>

#include "base/error.hpp"
#include "batch/batch.hpp"
#include "telemetry/memory.hpp"

namespace faro::loader {
namespace {

/// What all ranks must agree on, as the order and the plan follow from it: a seed taken from each
/// rank's clock would give every rank another epoch.
void check_same_settings(const Config& c, comm::Communicator& world) {
  const std::array<std::pair<const char*, std::uint64_t>, 20> values{{
      {"seed", c.seed},
      {"bind", c.bind == "auto" ? 1U : 0U},
      {"first_epoch", c.first_epoch},
      {"epochs", c.epochs},
      {"global_batch", c.global_batch},
      {"end", static_cast<std::uint64_t>(c.end)},
      {"window", static_cast<std::uint64_t>(c.window.kind)},
      {"window", c.window.bytes},
      {"leases", c.leases},
      {"node_ranks", c.node_ranks},
      {"exchange", c.exchange == "auto"     ? 0U
                   : c.exchange == "direct" ? 1U
                                            : 2U},
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

Session::Session(const Config& given, std::unique_ptr<comm::Communicator> world,
                 const Loader::Log& log, const Open& open,
                 const std::optional<DeviceArrivals>& arrivals)
    : config_(given), log_(log), world_(std::move(world)) {
  comm::together(*world_, [&] { config_.validate(); });
  check_same_settings(config_, *world_);
  node_ = world_->split_by_node(static_cast<int>(config_.node_ranks));
  dataset_ = open(*world_);
  auto machine = inspect_machine(config_, *world_, *node_);
  machine.device_arrivals = arrivals.has_value();
  comm::together(*world_, [&] {
    run_ = make_plan(dataset_.manifest, config_, machine);
    run_.plan.index_bytes = dataset_.index_cost.bytes;
    run_.plan.index_requests = dataset_.index_cost.requests;
    run_.plan.exchange_thread = world_->concurrent();
    check_budget(run_.plan, config_);
  });
  if (!run_.plan.exchange_thread && log_ && world_->rank() == 0) {
    log_(
        "MPI gives less than MPI_THREAD_MULTIPLE: the exchange works inside next(), and not while "
        "the consumer computes");
  }
  engine_.emplace(config_, dataset_, run_, *world_, *node_, log_, arrivals);
}

bool Session::begin_epoch() {
  while (open_) next();
  if (begun_ == config_.epochs) return false;
  epoch_ = {};
  epoch_.epoch = config_.first_epoch + begun_++;
  epoch_start_ = Clock::now();
  step_ = 0;
  open_ = true;
  return true;
}

std::optional<Batch> Session::next() {
  if (!open_) return std::nullopt;
  if (step_ == run_.plan.steps) {
    end_epoch();
    return std::nullopt;
  }
  const auto& leases = engine_->leases();
  check(leases->age() < config_.leases, ErrorCode::invalid_argument,
        "the batch of {} steps ago is still held, and leases = {}: destroy it before the next, or "
        "raise leases",
        leases->age(), config_.leases);
  const auto start = Clock::now();
  auto local = engine_->next();
  epoch_.stall_seconds += seconds_since(start);

  const auto number = (begun_ - 1) * run_.plan.steps + step_;
  leases->take(number);
  std::optional<Batch> batch;
  try {
    batch = batch::make(std::move(local), epoch_.epoch, *dataset_.format,
                        [leases, number] { leases->release(number); });
  } catch (...) {
    const auto error = comm::current_error(world_->rank());
    engine_->fail(error);  // the others' next() throws it too
    throw Error(error);
  }
  for (const auto& sample : *batch) {
    if (sample.pad) continue;
    ++epoch_.samples;
    for (const auto& field : sample.fields) epoch_.bytes += field.bytes.size();
    if (auto* proof = engine_->proof()) {
      proof->delivered(begun_ - 1, sample.number, payload_of(sample.fields));
    }
  }
  if (step_ == 0) epoch_.time_to_first_batch_seconds = seconds_since(epoch_start_);
  ++step_;
  return batch;
}

void Session::end_epoch() {
  open_ = false;
  engine_->close_epoch(begun_ - 1);
  epoch_.seconds = seconds_since(epoch_start_);
  epoch_.verified = config_.verify;
  if (auto* cache = engine_->cache(); cache != nullptr && log_) {
    if (const auto warning = cache->take_warning()) {
      log_(fmt::format("warning (rank {}): {}", world_->rank(), *warning));
    }
  }
}

std::string Session::shard(std::uint64_t sample) const {
  const auto& manifest = dataset_.manifest;
  check(sample < manifest.samples, ErrorCode::invalid_argument,
        "sample {} is none: the data set has {}", sample, manifest.samples);
  return store::redacted(
      manifest.shards[manifest.blocks[manifest.block_of_sample(sample)].shard].uri);
}

EpochStats Session::epoch_stats() const {
  auto stats = epoch_;
  if (open_) stats.seconds = seconds_since(epoch_start_);
  return stats;
}

LoaderStats Session::stats() const {
  const auto counters = engine_->counters();
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
  stats.remote_bytes = engine_->received_bytes();
  const auto sent = engine_->sent();
  stats.messages = sent.messages;
  stats.message_bytes = sent.bytes;
  stats.largest_message_bytes = sent.largest;
  stats.peak_mapped_bytes = telemetry::peak_resident();
  stats.peak_rss_bytes = stats.peak_mapped_bytes + engine_->shared_share() -
                         std::min(stats.peak_mapped_bytes, engine_->shared_resident());
  stats.cache_hits = counters.cache_hits;
  stats.cache_bytes = counters.cache_bytes;
  if (const auto* cache = engine_->cache()) {
    const auto kept = cache->counters();
    stats.cache_written_bytes = kept.written_bytes;
    stats.cache_dropped = kept.dropped;
    stats.peak_rss_bytes += cache->memory();
  }
  return stats;
}

}  // namespace faro::loader
