// Interface of sync/: buckets of gradients, and what sums them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/comm.hpp"
#include "cuda/gradients.hpp"
#include "cuda/nccl.hpp"
#include "faro/gradient_sync.hpp"

namespace faro::sync {

/// Which bucket a parameter is in, and from which element on.
struct Place {
  std::size_t bucket = 0;
  std::uint64_t offset = 0;
};

struct Bucket {
  std::uint64_t elements = 0;           ///< gaps of alignment included
  std::vector<std::size_t> parameters;  ///< in the order in which they lie
};

struct Layout {
  std::vector<Bucket> buckets;  ///< in the order of their sums
  std::vector<Place> places;    ///< by parameter
};

/// Parameters in reverse order, as long as a bucket has room for them; one that is larger than a
/// bucket has one alone. Each begins at a multiple of 64 bytes.
[[nodiscard]] Layout lay_out(std::span<const GradientParameter> parameters,
                             const GradientSyncOptions& options);

/// Error(invalid_argument), the same on all ranks, unless all have registered the same. Collective.
void agree_on(comm::Communicator& comm, std::span<const GradientParameter> parameters,
              const GradientSyncOptions& options);

/// What rides along with a bucket, and is summed with it.
struct Note {
  float weight = 0;
  float failed = 0;  ///< 1 of a rank that cannot go on
  float left = 0;    ///< 1 of a rank whose GradientSync is being destroyed
  static constexpr std::size_t elements = 3;
};

[[nodiscard]] constexpr cuda::Float stored_as(GradientType type) {
  switch (type) {
    case GradientType::f32: return cuda::Float::f32;
    case GradientType::f16: return cuda::Float::f16;
    case GradientType::bf16: return cuda::Float::bf16;
  }
  return cuda::Float::f32;
}

/// Holds the buckets and sums them over the ranks: in host memory with MPI, or on a GPU with NCCL.
/// put() and hand_back() belong to the caller's thread, and broadcast() between steps; start() to
/// get(), and abandon(), to the thread that drives.
class Backend {
 public:
  virtual ~Backend() = default;
  /// Brings the ranks together. Collective; before anything else.
  virtual void connect() {}
  /// A parameter's place in its bucket.
  [[nodiscard]] virtual std::span<float> storage(std::size_t parameter) = 0;
  /// Brings a gradient into its bucket, times scale; zeros, whatever it holds, for 0.
  virtual void put(std::size_t parameter, float scale) = 0;
  /// Starts the sum of a bucket. Empty: zeros instead of what was put there; only while no other
  /// sum is under way, and nothing that is put later counts.
  virtual void start(std::size_t bucket, const Note& mine, bool empty) = 0;
  /// The notes' sum, once the bucket's sum has ended.
  [[nodiscard]] virtual std::optional<Note> done(std::size_t bucket) = 0;
  /// Writes a summed bucket to its gradients, divided by divisor.
  virtual void get(std::size_t bucket, float divisor) = 0;
  /// After the step's last get(): what the caller does from now on sees the gradients.
  virtual void hand_back() {}
  /// Lets go of what is under way, with the memory that may still be written to: peers are silent,
  /// or a sum has failed.
  virtual void abandon() noexcept = 0;
  /// Whether the sums go other ways than the communicator, which then still carries what went wrong
  /// with them.
  [[nodiscard]] virtual bool apart() const noexcept { return false; }
  /// Whether broadcast() is for these bytes; else they are the communicator's.
  [[nodiscard]] virtual bool holds(std::span<const std::byte>) const { return false; }
  /// Root's bytes to all. Returns when they are there.
  virtual void broadcast(std::span<std::byte>, int) {}
  [[nodiscard]] virtual std::string name() const = 0;
};

/// Seconds that the ranks may take to find each other by NCCL: some, however short their steps are.
[[nodiscard]] inline double connect_timeout(const GradientSyncOptions& options) {
  return std::max(options.peer_timeout, 60.0);
}

/// What Session makes its backend by. Collective; what it makes keeps references to all of them.
using MakeBackend =
    std::function<std::unique_ptr<Backend>(std::span<const GradientParameter>, const Layout&,
                                           const GradientSyncOptions&, comm::Communicator&)>;

/// In host memory, or with NCCL on the options' device.
[[nodiscard]] std::unique_ptr<Backend> make_backend(std::span<const GradientParameter> parameters,
                                                    const Layout& layout,
                                                    const GradientSyncOptions& options,
                                                    comm::Communicator& comm);

[[nodiscard]] std::unique_ptr<Backend> make_host_backend(
    std::span<const GradientParameter> parameters, const Layout& layout, comm::Communicator& comm);

[[nodiscard]] std::unique_ptr<Backend> make_device_backend(
    std::span<const GradientParameter> parameters, const Layout& layout,
    const GradientSyncOptions& options, std::shared_ptr<cuda::Device> device,
    std::unique_ptr<cuda::Collective> collective);

}  // namespace faro::sync
