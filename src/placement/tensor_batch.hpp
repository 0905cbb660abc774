#pragma once

#include <span>

#include "faro/tensor.hpp"

namespace faro::placement {

/// A batch's memory in a ring, which gets it back with this. Thread safe.
class Place {
 public:
  virtual ~Place() = default;
  [[nodiscard]] virtual std::span<std::byte> memory() const noexcept = 0;
  [[nodiscard]] virtual int device() const noexcept { return -1; }
  // As TensorBatch's.
  [[nodiscard]] virtual void* event() const noexcept { return nullptr; }
  virtual void wait_on(void* /*stream*/) {}
  virtual void release_after(void* /*stream*/) {}
};

}  // namespace faro::placement

namespace faro {

/// Shared by a TensorBatch and its DLPack tensors; the last of them gives the memory back.
struct TensorBatch::Impl {
  explicit Impl(std::unique_ptr<placement::Place> given) : place(std::move(given)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::unique_ptr<placement::Place> place;
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;
  std::uint64_t first_slot = 0;
  std::vector<float> weights;
  std::vector<std::uint64_t> numbers;
  std::vector<Tensor> tensors;
};

}  // namespace faro
