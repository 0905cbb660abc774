#include "images.hpp"

#include <algorithm>

namespace train {

const float* Images::pixels() const {
  return batch_ ? static_cast<const float*>((*batch_)["image"].data) : pixels_;
}

const std::int64_t* Images::labels() const {
  return batch_ ? static_cast<const std::int64_t*>((*batch_)["label"].data) : labels_;
}

std::uint64_t Images::counted() const {
  return static_cast<std::uint64_t>(std::count(weights().begin(), weights().end(), 1.0F));
}

void Images::wait_on(void* stream) const {
  if (batch_) batch_->wait_on(stream);
}

void Images::release_after(void* stream) {
  if (batch_) batch_->release_after(stream);
}

faro::TensorConfig tensors(const std::string& device) {
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
  config.device = device;
  config.tensors = {image, label};
  return config;
}

}  // namespace train
