/// \file
/// Sums gradients over ranks while the backward pass still runs.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "faro/error.hpp"

namespace faro {

/// What a gradient is stored as. Sums are taken in f32, whatever the type: f16 and bf16 are widened
/// on the way in, and rounded once, to nearest even, on the way out.
enum class GradientType { f32, f16, bf16 };

/// \f$ w_r \f$ is the weight of rank r's part of the step, \f$ g_r \f$ its gradient.
enum class Reduction {
  sum,   ///< sum of g_r over the ranks with w_r > 0
  mean,  ///< sum of w_r g_r / sum of w_r: the mean over samples, where g_r is that of rank r's own
};

/// One parameter's gradient.
struct GradientParameter {
  std::string name;  ///< of its own; errors name it
  /// Where it lies, for as long as the GradientSync lives; nullptr (f32 alone): in its bucket, see
  /// GradientSync::gradient().
  void* gradient = nullptr;
  std::uint64_t elements = 0;
  GradientType type = GradientType::f32;
};

/// What a GradientSync tells its trace: a point in time.
struct SyncEvent {
  enum class What {
    ready,         ///< ready() of parameter `index` was called
    bucket_start,  ///< the sum of bucket `index` was started on this rank
    bucket_end,    ///< it has ended, and its gradients are written (on a device: soon will be)
    wait_begin,    ///< wait() was called
    wait_end,      ///< it returns
  };
  What what = What::ready;
  std::uint64_t step = 0;
  std::size_t index = 0;
  double seconds = 0;  ///< since the GradientSync was made
};

struct GradientSyncOptions {
  Reduction reduction = Reduction::mean;
  std::uint64_t bucket_bytes = 25U << 20;       ///< of f32; a larger parameter has a bucket alone
  std::uint64_t first_bucket_bytes = 1U << 20;  ///< of the one that is summed first
  /// Seconds that wait() bears without progress before it gives up: more than ranks may differ in
  /// the time that they take for a step.
  double peer_timeout = 300.0;
  /// -1: gradients are in host memory, and MPI sums them. Else CUDA's ordinal of the device in whose
  /// memory they are, and NCCL sums them there. On all ranks or on none.
  int device = -1;
  /// With a device the stream (cudaStream_t) on which gradients are computed; nullptr: the default
  /// one. ready() takes what was put on it before; what is put on it after wait() sees the sums.
  /// No call waits for the device. It must outlive the GradientSync.
  void* stream = nullptr;
  /// Called by the thread that calls ready() or wait() and by the progress thread, one at a time.
  /// Must not throw, nor call the GradientSync.
  std::function<void(const SyncEvent&)> trace;
};

/// Sums gradients over the ranks of a communicator, bucket by bucket, while the rest is computed.
///
///     faro::GradientSync sync({{"w1", dw1, n1}, {"w2", dw2, n2}});  // in the order of forward
///     sync.broadcast(std::span(w1, n1));  // everyone begins with those of rank 0
///     for (auto& batch : batches) {
///       sync.set_weight(samples_without_pads);  // of this rank's part of the global batch
///       backward(..., [&](std::size_t parameter) { sync.ready(parameter); });
///       sync.wait();  // dw1, dw2: the mean over all ranks' samples
///     }
///
/// Buckets are filled in the reverse order of registration, as backward passes go, and started in
/// that order on all ranks, whatever the order of ready(). From ready() to the end of wait() a
/// gradient belongs to the GradientSync. The same gradients on the same ranks give the same bits,
/// in every run and on every rank.
///
/// Construction, broadcast(), wait() and destruction are called by all ranks, in the same order.
/// A failure (of the calls' order, by fail(), a rank that leaves in mid-run) is thrown as the same
/// Error by wait() on all ranks, and by every call after it; a rank that is silent for
/// `peer_timeout` ends the wait of the others. After an error, gradients are not specified.
///
/// With MPI_THREAD_MULTIPLE a thread of its own keeps the sums going; with less they advance in
/// ready() and wait() alone, as describe() says. One thread at a time may use a GradientSync, and
/// it must end before MPI does.
///
/// With a device NCCL alone moves what is in its memory; MPI brings the ranks together and tells
/// them of errors, all in host memory. For NCCL and a CUDA-aware MPI may wait for each other for
/// ever when they work on one device at the same time: from ready() to the end of wait() a program
/// must not give MPI any device memory either. faro's own MPI, which a TensorLoader with arrivals =
/// device has given that device, is refused: device.
class GradientSync {
 public:
  /// Collective. Initialises MPI if nobody has. Takes 8 bytes of memory an element; 4 on a device.
  /// Errors: invalid_argument, the same on all ranks, where a parameter is absurd, or names, sizes,
  /// types, their order or the options are not the same on all ranks; device, on all ranks, where
  /// one has no such device, or NCCL fails.
  explicit GradientSync(std::vector<GradientParameter> parameters,
                        const GradientSyncOptions& options = {}, MPI_Comm comm = MPI_COMM_WORLD);
  ~GradientSync();
  GradientSync(GradientSync&&) noexcept;
  GradientSync& operator=(GradientSync&&) noexcept;

  /// The memory in its bucket (on the device, where there is one) of a parameter that was registered
  /// without a place of its own, aligned to 64 bytes. The sum needs no copy of it; zeros at first.
  [[nodiscard]] std::span<float> gradient(std::size_t parameter);

  /// Root's values to all ranks, bit by bit: initial parameters, in the host's memory or the
  /// device's. Returns when they are there; those of the device are taken after what is on
  /// `stream`. Collective, between steps. All ranks give the same root and size, and the same kind
  /// of memory: invalid_argument on all where they do not.
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void broadcast(std::span<T> values, int root = 0) {
    broadcast_bytes(std::as_writable_bytes(values), root);
  }

  /// The weight of this rank's part of the step that begins: its samples, pads not counted. Before
  /// the step's first ready(); 1 where it is not called. With weight 0 the gradients count as
  /// zeros, whatever they hold, and ready() need not be called. Exact while the sum over the ranks
  /// is at most 2^24, and to a relative 2^-24 a rank beyond.
  void set_weight(std::uint64_t weight);

  /// The gradient of a parameter is complete. Starts its bucket's sum if it was the last one
  /// there, and every bucket before it is started.
  void ready(std::size_t parameter);

  /// Ends the step: returns when all gradients are reduced and written. Collective.
  /// Errors: invalid_argument that names parameters that were ready twice or never; those of other
  /// ranks; peer where one is silent; mpi.
  void wait();

  /// This rank cannot go on: wait() throws `error` on all ranks, in this step, or in the next one
  /// where all of its sums are under way already. Call wait() to learn that they know.
  void fail(const Error& error);

  /// While one lives, ready() and wait() do nothing: gradients are accumulated. Between steps, on
  /// all ranks alike.
  class NoSync {
   public:
    NoSync(NoSync&& other) noexcept;
    NoSync& operator=(NoSync&&) = delete;
    ~NoSync();

   private:
    friend class GradientSync;
    explicit NoSync(unsigned* scopes) noexcept : scopes_(scopes) { ++*scopes_; }
    unsigned* scopes_;
  };
  [[nodiscard]] NoSync no_sync();

  [[nodiscard]] std::size_t buckets() const noexcept;
  /// By what the sums are taken, and what advances them; in words.
  [[nodiscard]] std::string describe() const;

 private:
  void broadcast_bytes(std::span<std::byte> bytes, int root);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faro
