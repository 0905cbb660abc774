#include "loader/tensor_session.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hpp"
#include "base/runtime.hpp"
#include "comm/mpi.hpp"
#include "order/order.hpp"

namespace faro::loader {
namespace {

constexpr std::uint64_t most_threads = 8;
// The consumer's thread, and as good as one that the feeder's and the exchange's take together.
constexpr std::uint64_t own_threads = 2;
constexpr std::uint64_t told_samples = 10;

/// Processors that this rank may use and others of its node do not. Collective over the node.
std::uint64_t own_processors(comm::Communicator& node) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  const auto processors = static_cast<std::uint64_t>(CPU_COUNT(&allowed));
  // Ranks that their launcher has bound have processors of their own; others share all of them.
  const auto all = node.all_gather(std::as_bytes(std::span(&allowed, 1)));
  std::uint64_t sharers = 0;
  for (std::size_t at = 0; at < all.size(); at += sizeof(allowed)) {
    cpu_set_t other;
    std::memcpy(&other, all.data() + at, sizeof(other));
    if (CPU_EQUAL(&other, &allowed) != 0) ++sharers;
  }
  return processors / std::max<std::uint64_t>(sharers, 1);
}

/// With a device the consumer's thread waits for it, and what next() did itself would have it idle:
/// one thread at least.
std::uint32_t choose_threads(const TensorConfig& config, bool device, comm::Communicator& node) {
  const auto processors = own_processors(node);
  const auto left = processors - std::min(processors, own_threads);
  return config.transform_threads.value_or(
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(left, device ? 1 : 0, most_threads)));
}

}  // namespace

Place choose_place(const std::string& asked, comm::Communicator& world, comm::Communicator& node) {
  Place place;
  place.choice = choose_device(asked, world, node,
                               [&](int number) { place.device = cuda::open_device(number); });
  if (place.choice.number < 0) place.device.reset();  // as another rank has none
  place.mpi_says = comm::mpi_says_cuda();
  return place;
}

TensorSession::TensorSession(const Config& given, const TensorConfig& tensors,
                             std::unique_ptr<comm::Communicator> world, const Loader::Log& log,
                             const Session::Open& open, const ChoosePlace& choose)
    : config_(given), log_(log), world_(std::move(world)) {
  placement::Options options;
  comm::together(*world_, [&] {
    config_.validate();
    tensors.validate();
    for (const auto& spec : tensors.tensors) {
      options.programs.emplace_back(spec, tensors.max_pixels);
    }
  });
  const auto node = world_->split_by_node(0);
  place_ = choose(tensors.device, *world_, *node);
  options.threads = choose_threads(tensors, place_.device != nullptr, *node);
  options.on_bad_sample = tensors.on_bad_sample;
  comm::together(*world_, [&] { plan_tensors(options); });
  std::array<std::uint64_t, 1> bytes{plan_.host_bytes};
  world_->all_reduce(bytes, comm::Op::max);  // all ranks plan with the same budget

  auto inner = config_;
  // A batch goes when its tensors are made; a device may still read it when the next one comes.
  inner.leases = place_.device ? 2 : 1;
  const auto too_small = [&](std::uint64_t budget) {
    return Error(
        ErrorCode::memory,
        fmt::format("the tensors of a rank take {} bytes of host memory ({} batches of {} "
                    "samples, and {} for decoding), and its budget is {}: raise memory, or "
                    "lower global_batch, leases, transform_threads or max_pixels",
                    bytes[0], plan_.batches, options.layout.samples, plan_.scratch_bytes, budget));
  };
  comm::together(*world_, [&] {
    if (config_.memory == 0) return;
    if (bytes[0] >= config_.memory) throw too_small(config_.memory);
    inner.memory = config_.memory - bytes[0];
  });
  arrivals_ =
      choose_arrivals(tensors, inner, options.programs, *world_, place_.device, place_.mpi_says);
  std::optional<DeviceArrivals> on_device;
  if (arrivals_.claim) on_device = {place_.device, options.programs};
  session_.emplace(inner, world_->duplicate(), log, open, on_device);
  comm::together(*world_, [&] {
    if (config_.memory == 0 && bytes[0] > session_->plan().budget_bytes) {
      throw too_small(session_->plan().budget_bytes);
    }
    place_tensors(std::move(options));
  });
}

void TensorSession::plan_tensors(placement::Options& options) {
  // One more than the consumer may hold is worked on while it computes.
  const auto batches = config_.leases + (options.threads > 0 ? 1 : 0);
  const auto ranks = static_cast<std::uint64_t>(world_->size());
  options.layout = placement::plan_layout(options.programs, (config_.global_batch - 1) / ranks + 1,
                                          batches, place_.device != nullptr);
  std::uint64_t scratch = 0;  // the decoders' memory is used by one tensor after another
  for (const auto& program : options.programs) {
    scratch = std::max(scratch, program.scratch_bytes());
  }
  plan_.device = place_.choice.text;
  plan_.threads = options.threads;
  plan_.batches = batches;
  plan_.ring_bytes = options.layout.ring_bytes;
  plan_.pinned_bytes = options.layout.pinned_bytes;
  plan_.scratch_bytes = checked_mul(scratch, options.threads + 1, ErrorCode::memory);
  plan_.host_bytes = checked_add(place_.device ? plan_.pinned_bytes : plan_.ring_bytes,
                                 plan_.scratch_bytes, ErrorCode::memory);
}

void TensorSession::place_tensors(placement::Options options) {
  options.shard_of = [this](std::uint64_t sample) { return session_->shard(sample); };
  options.skipped = [this](const std::string& line) {
    const auto count = placement_->skipped();
    if (!log_ || count > told_samples) return;
    log_(fmt::format("warning (rank {}): skipped {}{}", world_->rank(), line,
                     count == told_samples ? "; what else is skipped is only counted" : ""));
  };
  placement_ = place_.device ? placement::make_device(std::move(options), place_.device,
                                                      session_->memory(), session_->mirror())
                             : placement::make_host(std::move(options));
  if (place_.device) plan_.device += "; samples are " + placement_->path();
  if (!arrivals_.text.empty()) plan_.device += "; other nodes' arrive " + arrivals_.text;
  plan_.arrival_bytes = session_->mirror().host.size();
}

template <class Work>
void TensorSession::attempt(Work&& work) {
  if (error_) return;
  try {
    work();
  } catch (...) {
    error_ = comm::current_error(world_->rank());
  }
}

/// Begins the next batch; false at the end of the epoch.
bool TensorSession::begin_next() {
  attempt([&] { placement_->settle(1); });  // that one, and the next: two leases
  pending_ = error_.has_value();
  if (pending_) return true;  // next() tells all ranks
  auto batch = session_->next();
  if (!batch) return false;
  ++begun_;
  pending_ = true;
  for (const auto& sample : *batch) stats_.samples += sample.pad ? 0 : 1;
  attempt([&] { placement_->start(std::move(*batch), key_); });
  return true;
}

std::optional<TensorBatch> TensorSession::next() {
  if (!open_) return std::nullopt;
  if (!pending_ && !begin_next()) {
    open_ = false;
    return std::nullopt;
  }
  const auto start = Clock::now();
  std::optional<TensorBatch> batch;
  pending_ = false;
  attempt([&] { batch = placement_->finish(); });
  stats_.wait_seconds += seconds_since(start);
  session_->agree(error_);
  // Where threads can work on it, the one after is begun before this one is consumed.
  if (plan_.threads > 0 && begun_ < session_->plan().steps) begin_next();
  return batch;
}

bool TensorSession::begin_epoch() {
  placement_->discard();
  attempt([&] { placement_->settle(0); });  // what is left of the epoch is passed over
  pending_ = false;
  begun_ = 0;
  open_ = session_->begin_epoch();
  if (!open_) return false;
  key_ =
      order::derive_key(config_.seed, session_->epoch_stats().epoch, order::Purpose::augmentation);
  return true;
}

TensorStats TensorSession::tensor_stats() const noexcept {
  auto stats = stats_;
  stats.skipped = placement_->skipped();
  return stats;
}

}  // namespace faro::loader
