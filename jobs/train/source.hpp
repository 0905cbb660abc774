// Where the local batches come from.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "images.hpp"

namespace train {

struct SourceOptions {
  std::string data;
  std::uint64_t epochs = 1;
  std::uint64_t global_batch = 64;
  std::uint64_t seed = 1;
  std::string device = "auto";  ///< auto, host or cuda: where images come to lie
};

/// The same number of batches on every rank; the last one is filled with pads.
class Source {
 public:
  virtual ~Source() = default;
  virtual bool begin_epoch() = 0;
  /// The one before it is gone by then.
  [[nodiscard]] virtual std::optional<Images> next() = 0;
  /// Of an epoch.
  [[nodiscard]] virtual std::uint64_t steps() const = 0;
  [[nodiscard]] virtual std::uint64_t samples() const = 0;
  /// In whose memory images are: CUDA's number of the GPU, or -1, the host. The same kind on all
  /// ranks.
  [[nodiscard]] virtual int device() const = 0;
  [[nodiscard]] virtual std::string place() const = 0;  ///< the same in words, and why
};

/// Shuffled by faro, over all ranks.
[[nodiscard]] std::unique_ptr<Source> from_faro(const SourceOptions& options);
/// Read once, by every rank all of it, and shuffled by Fisher and Yates' method each epoch: what
/// faro's order is held against. For data sets that fit into memory several times; on the host.
[[nodiscard]] std::unique_ptr<Source> from_memory(const SourceOptions& options);

}  // namespace train
