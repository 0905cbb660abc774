// Interface of placement/: where batches become tensors. One interface for every kind of memory.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda/device.hpp"
#include "faro/batch.hpp"
#include "faro/tensor.hpp"
#include "transform/transform.hpp"

namespace faro::placement {

/// Bytes of a ring of tensor batches, and where in a batch each tensor stands.
struct Layout {
  std::uint64_t samples = 0;  ///< of the largest local batch
  std::uint64_t batches = 0;  ///< in the ring
  /// Of each tensor in its batch: one for each program, then one for the offsets of each that is
  /// ragged.
  std::vector<std::uint64_t> offsets;
  std::uint64_t batch_bytes = 0;
  std::uint64_t ring_bytes = 0;

  // On a device alone: the page-locked memory that a batch is made from.

  /// Where the host writes each tensor, as `offsets`; of those that the kernel makes, the first
  /// sample's bytes, every slot_bytes[program].
  std::vector<std::uint64_t> staging;
  std::vector<std::uint64_t> slot_bytes;
  std::uint64_t notes = 0;         ///< there: what the kernel is told of the samples
  std::uint64_t device_notes = 0;  ///< its copy in the batch
  std::uint64_t notes_bytes = 0;
  std::uint64_t staging_bytes = 0;  ///< of a batch
  std::uint64_t pinned_bytes = 0;   ///< of all batches

  /// DLPack's, and CUDA's own.
  static constexpr std::uint64_t alignment = 256;
};

/// Computes without taking memory. Error(memory) where sizes overflow 64 bits.
[[nodiscard]] Layout plan_layout(std::span<const transform::Program> programs,
                                 std::uint64_t samples, std::uint64_t batches, bool device = false);

/// Memory of the host's where samples have their addresses, while a device has their bytes, at the
/// same offsets.
struct Mirror {
  std::span<const std::byte> host;
  const std::byte* device = nullptr;
};

struct Options {
  std::vector<transform::Program> programs;
  Layout layout;
  std::uint32_t threads = 0;
  BadSample on_bad_sample = BadSample::error;
  /// The shard that holds a sample, for messages.
  std::function<std::string(std::uint64_t)> shard_of;
  /// Told of each sample that is skipped, by the thread that calls finish().
  std::function<void(const std::string&)> skipped;
};

/// Turns batches into tensors, one at a time. One thread at a time.
class Placement {
 public:
  virtual ~Placement() = default;
  /// Begins; the batch is kept until finish().
  /// \param key of the epoch's draws
  /// Error(invalid_argument): the consumer holds too many.
  virtual void start(Batch batch, std::uint64_t key) = 0;
  /// Ends what start() began, working on it too. Error(format): a bad sample, the first by slot,
  /// with its number, key, shard, field and tensor.
  [[nodiscard]] virtual TensorBatch finish() = 0;
  /// Before another batch is taken from the loader: gives back those whose bytes have been read,
  /// and waits for all but the last `kept`.
  virtual void settle(std::uint64_t /*kept*/) {}
  /// Ends what start() began, if anything, and forgets it.
  virtual void discard() noexcept = 0;
  /// Slots that hold a substitute, pads left out.
  [[nodiscard]] virtual std::uint64_t skipped() const noexcept = 0;
  /// How samples come there, for people.
  [[nodiscard]] virtual std::string path() const = 0;
};

/// In the host's memory. Errors: memory.
[[nodiscard]] std::unique_ptr<Placement> make_host(Options options);

/// In a device's memory; the layout is planned for one.
/// \param mirror memory in which batches' bytes may lie too; as readable, it outlives the placement
/// \param readable memory in which the batches' bytes may lie, to be page-locked. What cannot be is
///     copied to memory that is. It must outlive the placement, and all batches that are given to
///     it go before it does.
/// Errors: memory (the device's or page-locked), device.
[[nodiscard]] std::unique_ptr<Placement> make_device(Options options,
                                                     std::shared_ptr<cuda::Device> device,
                                                     std::span<const std::span<std::byte>> readable,
                                                     const Mirror& mirror = {});

}  // namespace faro::placement
