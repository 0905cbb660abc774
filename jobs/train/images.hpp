// What the net reads.
#pragma once

#include <Eigen/Core>
#include <faro/tensor_loader.hpp>
#include <vector>

namespace train {

constexpr int side = 28;
constexpr int pixels = side * side;
constexpr int classes = 10;

/// A local batch: a column a sample.
struct Images {
  Eigen::MatrixXf pixels;  ///< train::pixels x samples, normalised
  std::vector<int> labels;
  std::vector<float> weights;  ///< 1, and 0 for pads

  [[nodiscard]] int size() const { return static_cast<int>(labels.size()); }
  [[nodiscard]] std::uint64_t counted() const;  ///< samples that are no pads
};

/// The tensors of a sample: "png" (28 x 28, grey), normalised, and "cls" (a digit).
[[nodiscard]] faro::TensorConfig tensors();
/// Of a batch of those tensors.
[[nodiscard]] Images images_of(const faro::TensorBatch& batch);

}  // namespace train
