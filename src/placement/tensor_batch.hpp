#pragma once

#include "faro/tensor.hpp"
#include "placement/ring.hpp"

namespace faro {

/// Shared by a TensorBatch and its DLPack tensors; the last of them gives the memory back.
struct TensorBatch::Impl {
  Impl(std::shared_ptr<placement::Ring> given_ring, std::size_t given_place)
      : ring(std::move(given_ring)), place(given_place) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { ring->give_back(place); }

  std::shared_ptr<placement::Ring> ring;
  std::size_t place;
  std::uint64_t epoch = 0;
  std::uint64_t step = 0;
  std::uint64_t first_slot = 0;
  std::vector<float> weights;
  std::vector<std::uint64_t> numbers;
  std::vector<Tensor> tensors;
};

}  // namespace faro
