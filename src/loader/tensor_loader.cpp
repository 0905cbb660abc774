#include "faro/tensor_loader.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hpp"
#include "base/runtime.hpp"
#include "comm/mpi.hpp"
#include "cuda/backend.hpp"
#include "order/order.hpp"
#include "placement/placement.hpp"

namespace faro {
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

std::uint32_t choose_threads(const TensorConfig& config, comm::Communicator& node) {
  const auto processors = own_processors(node);
  const auto left = processors - std::min(processors, own_threads);
  return config.transform_threads.value_or(
      static_cast<std::uint32_t>(std::min(left, most_threads)));
}

void check_device(const TensorConfig& config) {
  check(config.device != "cuda", ErrorCode::invalid_argument,
        "device = cuda: tensors are placed in host memory alone so far; give auto or host (CUDA "
        "here: {})",
        cuda::probe().why);
}

}  // namespace

struct TensorLoader::Impl {
  Impl(const Config& given, const TensorConfig& tensors, MPI_Comm comm,
       const Loader::Log& given_log);

  std::optional<TensorBatch> next();
  bool begin_next();

  Config config;
  Loader::Log log;
  std::unique_ptr<comm::Communicator> world;
  TensorPlan plan;
  std::optional<Loader> loader;
  std::unique_ptr<placement::Placement> placement;

  std::uint64_t key = 0;
  std::uint64_t begun = 0;     // steps of the current epoch
  bool open = false;           // an epoch is under way
  bool pending = false;        // a batch is begun
  std::optional<Error> error;  // of beginning it
  TensorStats stats;
};

TensorLoader::Impl::Impl(const Config& given, const TensorConfig& tensors, MPI_Comm comm,
                         const Loader::Log& given_log)
    : config(given), log(given_log) {
  comm::ensure_mpi();
  world = comm::from_mpi(comm);
  placement::Options options;
  comm::together(*world, [&] {
    config.validate();
    tensors.validate();
    check_device(tensors);
    for (const auto& spec : tensors.tensors) {
      options.programs.emplace_back(spec, tensors.max_pixels);
    }
  });
  options.threads = choose_threads(tensors, *world->split_by_node(0));
  options.on_bad_sample = tensors.on_bad_sample;
  const auto ranks = static_cast<std::uint64_t>(world->size());
  std::array<std::uint64_t, 1> bytes{0};
  comm::together(*world, [&] {
    // One more than the consumer may hold is worked on while it computes.
    const auto batches = config.leases + (options.threads > 0 ? 1 : 0);
    options.layout =
        placement::plan_layout(options.programs, (config.global_batch - 1) / ranks + 1, batches);
    std::uint64_t scratch = 0;  // the decoders' memory is used by one tensor after another
    for (const auto& program : options.programs) {
      scratch = std::max(scratch, program.scratch_bytes());
    }
    plan = {"host", options.threads, batches, options.layout.ring_bytes,
            checked_mul(scratch, options.threads + 1, ErrorCode::memory)};
    bytes[0] = checked_add(plan.ring_bytes, plan.scratch_bytes, ErrorCode::memory);
  });
  world->all_reduce(bytes, comm::Op::max);  // all ranks plan with the same budget

  auto inner = config;
  inner.leases = 1;  // a batch goes when its tensors are made
  const auto too_small = [&](std::uint64_t budget) {
    return Error(
        ErrorCode::memory,
        fmt::format("the tensors of a rank take {} bytes ({} batches of {} samples, and "
                    "{} for decoding), and its budget is {}: raise memory, or lower "
                    "global_batch, leases, transform_threads or max_pixels",
                    bytes[0], plan.batches, options.layout.samples, plan.scratch_bytes, budget));
  };
  if (config.memory > 0) {
    if (bytes[0] >= config.memory) throw too_small(config.memory);
    inner.memory = config.memory - bytes[0];
  }
  loader.emplace(inner, comm, log);
  comm::together(*world, [&] {
    if (config.memory == 0 && bytes[0] > loader->plan().budget_bytes) {
      throw too_small(loader->plan().budget_bytes);
    }
    options.shard_of = [this](std::uint64_t sample) { return loader->shard(sample); };
    options.skipped = [this](const std::string& line) {
      const auto count = placement->skipped();
      if (!log || count > told_samples) return;
      log(fmt::format("warning (rank {}): skipped {}{}", world->rank(), line,
                      count == told_samples ? "; what else is skipped is only counted" : ""));
    };
    placement = placement::make_host(std::move(options));
  });
}

/// Begins the next batch; false at the end of the epoch.
bool TensorLoader::Impl::begin_next() {
  auto batch = loader->next();
  if (!batch) return false;
  ++begun;
  pending = true;
  for (const auto& sample : *batch) stats.samples += sample.pad ? 0 : 1;
  try {
    placement->start(std::move(*batch), key);
  } catch (...) {
    error = comm::current_error(world->rank());
  }
  return true;
}

std::optional<TensorBatch> TensorLoader::Impl::next() {
  if (!open) return std::nullopt;
  if (!pending && !begin_next()) {
    open = false;
    return std::nullopt;
  }
  const auto start = Clock::now();
  std::optional<TensorBatch> batch;
  pending = false;
  if (!error) {
    try {
      batch = placement->finish();
    } catch (...) {
      error = comm::current_error(world->rank());
    }
  }
  stats.wait_seconds += seconds_since(start);
  loader->agree(error);
  // Where threads can work on it, the one after is begun before this one is consumed.
  if (plan.threads > 0 && begun < loader->plan().steps) begin_next();
  return batch;
}

TensorLoader::TensorLoader(const Config& config, const TensorConfig& tensors, MPI_Comm comm,
                           Loader::Log log)
    : impl_(std::make_unique<Impl>(config, tensors, comm, log)) {}
TensorLoader::~TensorLoader() = default;
TensorLoader::TensorLoader(TensorLoader&&) noexcept = default;
TensorLoader& TensorLoader::operator=(TensorLoader&&) noexcept = default;

const Plan& TensorLoader::plan() const noexcept {
  return impl_->loader->plan();
}

const TensorPlan& TensorLoader::tensor_plan() const noexcept {
  return impl_->plan;
}

bool TensorLoader::begin_epoch() {
  auto& self = *impl_;
  self.placement->discard();
  self.pending = false;
  self.begun = 0;
  self.open = self.loader->begin_epoch();
  if (!self.open) return false;
  self.key = order::derive_key(self.config.seed, self.loader->epoch_stats().epoch,
                               order::Purpose::augmentation);
  return true;
}

std::optional<TensorBatch> TensorLoader::next() {
  return impl_->next();
}

EpochStats TensorLoader::epoch_stats() const {
  return impl_->loader->epoch_stats();
}

LoaderStats TensorLoader::stats() const {
  return impl_->loader->stats();
}

TensorStats TensorLoader::tensor_stats() const noexcept {
  auto stats = impl_->stats;
  stats.skipped = impl_->placement->skipped();
  return stats;
}

}  // namespace faro
