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
};

/// The same number of batches on every rank; the last one is filled with pads.
class Source {
 public:
  virtual ~Source() = default;
  virtual bool begin_epoch() = 0;
  [[nodiscard]] virtual std::optional<Images> next() = 0;
  /// Of an epoch.
  [[nodiscard]] virtual std::uint64_t steps() const = 0;
  [[nodiscard]] virtual std::uint64_t samples() const = 0;
};

/// Shuffled by faro, over all ranks.
[[nodiscard]] std::unique_ptr<Source> from_faro(const SourceOptions& options);
/// Read once, by every rank all of it, and shuffled by Fisher and Yates' method each epoch: what
/// faro's order is held against. For data sets that fit into memory several times.
[[nodiscard]] std::unique_ptr<Source> from_memory(const SourceOptions& options);

}  // namespace train
