/// \file
/// The loader for codes that train on tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "faro/loader.hpp"
#include "faro/tensor.hpp"

namespace faro {

/// What the tensors of a run take, computed before memory is taken for them; of a rank, in bytes.
struct TensorPlan {
  std::string device;               ///< where tensors lie, and why there: "host (...)"
  std::uint64_t threads = 0;        ///< that transform beside the consumer
  std::uint64_t batches = 0;        ///< in the ring
  std::uint64_t ring_bytes = 0;     ///< of all of them, in the device's memory or the host's
  std::uint64_t pinned_bytes = 0;   ///< page-locked, from which a device makes them
  std::uint64_t scratch_bytes = 0;  ///< at most, for decoded images
  std::uint64_t arrival_bytes = 0;  ///< in the device's memory, for samples of other nodes
  std::uint64_t host_bytes = 0;     ///< of all this, what counts against Config::memory
};

/// One rank's figures since its start.
struct TensorStats {
  std::uint64_t samples = 0;  ///< made into tensors, without pads
  std::uint64_t skipped = 0;  ///< bad samples (BadSample::skip)
  double wait_seconds = 0;    ///< that next() waited for transforms or worked on them
};

/// Delivers a shuffled data set as tensors: a Loader, and the transforms behind it.
///
///     faro::TensorLoader loader(config, faro::load_tensors("train.toml"));
///     while (loader.begin_epoch())
///       while (auto batch = loader.next())
///         train((*batch)["image"].values<float>(), (*batch)["label"].values<std::int64_t>(),
///               batch->weights());
///
/// The contract is Loader's: calls are collective, every rank gets the same number of steps, one
/// thread at a time. Every call of next() agrees with the other ranks, so that a sample that one of
/// them cannot read is the same error on all, in the same call, before any of them goes into a
/// collective of its own. Config::leases counts tensor batches: the consumer may hold that many,
/// the next one included. After an error the loader can only be destroyed.
class TensorLoader {
 public:
  /// Collective. Config::memory, where it is given, holds the tensors too.
  /// Errors: of Loader, of TensorConfig::validate; device for `cuda` where a rank has no GPU;
  /// memory where the tensors do not fit into the budget or the device's memory.
  TensorLoader(const Config& config, const TensorConfig& tensors, MPI_Comm comm = MPI_COMM_WORLD,
               Loader::Log log = {});
  ~TensorLoader();
  TensorLoader(TensorLoader&&) noexcept;
  TensorLoader& operator=(TensorLoader&&) noexcept;

  [[nodiscard]] const Plan& plan() const noexcept;
  [[nodiscard]] const TensorPlan& tensor_plan() const noexcept;
  /// Where this rank's tensors lie: CUDA's ordinal, or -1, host memory.
  [[nodiscard]] int device() const noexcept;
  /// As Loader::begin_epoch().
  bool begin_epoch();
  /// The next local batch, or nothing at the end of the epoch.
  [[nodiscard]] std::optional<TensorBatch> next();
  [[nodiscard]] EpochStats epoch_stats() const;
  [[nodiscard]] LoaderStats stats() const;
  [[nodiscard]] TensorStats tensor_stats() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faro
