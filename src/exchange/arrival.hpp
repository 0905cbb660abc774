// Memory for the samples that come from other nodes, taken once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace faro::exchange {

/// What one round brings to this rank. Given back when the last of the round's batches is released.
struct Arrival {
  std::span<std::byte> memory;
  std::uint64_t used = 0;
};

/// A fixed number of equally large arrival buffers. Thread safe; outlives what it has lent.
class ArrivalPool {
 public:
  ArrivalPool(std::size_t buffers, std::uint64_t bytes);
  /// A free buffer, or nullptr.
  [[nodiscard]] std::shared_ptr<Arrival> take();

 private:
  struct Store;
  std::shared_ptr<Store> store_;
};

}  // namespace faro::exchange
