// What the net reads.
#pragma once

#include <cstdint>
#include <faro/tensor_loader.hpp>
#include <optional>
#include <span>
#include <vector>

namespace train {

constexpr int side = 28;
constexpr int pixels = side * side;
constexpr int classes = 10;

/// A local batch. Its pixels and labels are in GPU memory where the loader's tensors are.
class Images {
 public:
  /// Of the tensors below.
  explicit Images(faro::TensorBatch batch) : batch_(std::move(batch)) {}
  /// Of memory that outlives it.
  Images(const float* pixels, const std::int64_t* labels, std::vector<float> weights)
      : pixels_(pixels), labels_(labels), weights_(std::move(weights)) {}

  [[nodiscard]] int size() const { return static_cast<int>(weights().size()); }
  /// A row of train::pixels a sample, normalised.
  [[nodiscard]] const float* pixels() const;
  [[nodiscard]] const std::int64_t* labels() const;
  /// 1, and 0 for pads; in host memory.
  [[nodiscard]] std::span<const float> weights() const {
    return batch_ ? batch_->weights() : weights_;
  }
  [[nodiscard]] std::uint64_t counted() const;  ///< samples that are no pads

  /// What is put on the stream (cudaStream_t) from now on finds the images there.
  void wait_on(void* stream) const;
  /// What is on the stream by now is the last that reads them.
  void release_after(void* stream);

 private:
  std::optional<faro::TensorBatch> batch_;
  const float* pixels_ = nullptr;
  const std::int64_t* labels_ = nullptr;
  std::vector<float> weights_;
};

/// The tensors of a sample: "png" (28 x 28, grey), normalised, and "cls" (a digit).
/// \param device  auto, host or cuda
[[nodiscard]] faro::TensorConfig tensors(const std::string& device);

}  // namespace train
