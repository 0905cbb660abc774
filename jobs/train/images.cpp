#include "images.hpp"

#include <algorithm>

namespace train {

std::uint64_t Images::counted() const {
  return static_cast<std::uint64_t>(std::count(weights.begin(), weights.end(), 1.0F));
}

faro::TensorConfig tensors() {
  faro::TensorSpec image;
  image.name = "image";
  image.field = "png";
  image.decode = faro::Decode::png;
  image.channels = 1;
  image.shape = {side, side};
  image.steps = {faro::Normalise{{0.2860}, {0.3530}, {}}};  // of the training images
  faro::TensorSpec label;
  label.name = "label";
  label.field = "cls";
  label.decode = faro::Decode::label;
  label.classes = classes;
  faro::TensorConfig config;
  config.tensors = {image, label};
  return config;
}

Images images_of(const faro::TensorBatch& batch) {
  Images images;
  const auto samples = static_cast<Eigen::Index>(batch.size());
  images.pixels =
      Eigen::Map<const Eigen::MatrixXf>(batch["image"].values<float>().data(), pixels, samples);
  for (const auto label : batch["label"].values<std::int64_t>()) {
    images.labels.push_back(static_cast<int>(label));
  }
  images.weights.assign(batch.weights().begin(), batch.weights().end());
  return images;
}

}  // namespace train
