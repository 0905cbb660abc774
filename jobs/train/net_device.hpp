// The net as a sequence of matrix products and small kernels. A Gpu runs them: CUDA's in
// net_cuda.cu, loops on the host in a test.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "net.hpp"
#include "net_kernels.hpp"

namespace train {

/// c = a b + beta c, column by column, without gaps: c is m x n, a m x k, b k x n.
struct Product {
  int m = 0;
  int n = 0;
  int k = 0;
  const float* a = nullptr;
  bool a_transposed = false;  ///< a is stored as k x m
  const float* b = nullptr;
  bool b_transposed = false;
  float* c = nullptr;
  float beta = 0;
};

/// Gpu:
///   int number() const; void* stream() const;
///   Array allocate(std::size_t floats);          its get() is a float*; zeros
///   void each(int count, body);                  body(0) ... body(count - 1), in any order
///   void multiply(const Product&);
///   void upload(float* to, std::span<const float> from);   `from` may go at once
///   void copy(float* to, const float* from, std::size_t floats);
///   void download(std::span<float> to, const float* from); waits for it
template <class Gpu>
class DeviceNet final : public Net {
 public:
  DeviceNet(Gpu gpu, std::uint64_t seed) : gpu_(std::move(gpu)) {
    const auto first = first_values(seed);
    count_ = first.size();
    values_ = gpu_.allocate(count_);
    velocity_ = gpu_.allocate(count_);
    kept_ = gpu_.allocate(most_kept);
    right_ = gpu_.allocate(1);
    gpu_.upload(values_.get(), first);
  }

  [[nodiscard]] int device() const override { return gpu_.number(); }
  [[nodiscard]] void* stream() const override { return gpu_.stream(); }
  [[nodiscard]] std::span<float> values() override { return {values_.get(), count_}; }

  void set_gradients(std::vector<float*> gradients, float* loss) override {
    gradients_ = std::move(gradients);
    loss_ = loss;
  }

  void forward(const Images& images) override {
    propagate(images);
    sum(images.size(), losses_.get(), loss_, 0);
  }

  void backward(Images& images, const std::function<void(std::size_t)>& ready) override {
    const int samples = images.size();
    float* delta = delta_.get();
    float* below = below_.get();
    gpu_.each(samples * classes, kernels::LossSlope{delta, out_.back().get(), images.labels(),
                                                    scales_.get(), classes});
    for (std::size_t l = layers; l-- > 0;) {
      const int rows = widths[l + 1];
      const float* in = l == 0 ? images.pixels() : out_[l - 1].get();
      gpu_.multiply({.m = rows,
                     .n = 1,
                     .k = samples,
                     .a = delta,
                     .b = ones_.get(),
                     .c = gradients_[2 * l + 1]});
      ready(2 * l + 1);
      gpu_.multiply({.m = rows,
                     .n = widths[l],
                     .k = samples,
                     .a = delta,
                     .b = in,
                     .b_transposed = true,
                     .c = gradients_[2 * l]});
      ready(2 * l);
      if (l == 0) break;
      gpu_.multiply({.m = widths[l],
                     .n = samples,
                     .k = rows,
                     .a = at(2 * l),
                     .a_transposed = true,
                     .b = delta,
                     .c = below});
      gpu_.each(samples * widths[l], kernels::TanhSlope{below, in});
      std::swap(delta, below);
    }
    images.release_after(gpu_.stream());
  }

  void update(float rate, float momentum) override {
    std::size_t first = 0;
    for (std::size_t p = 0; p < parameters().size(); ++p) {
      gpu_.each(static_cast<int>(parameters()[p].elements),
                kernels::Descend{values_.get() + first, velocity_.get() + first, gradients_[p],
                                 rate, momentum});
      first += parameters()[p].elements;
    }
  }

  void keep_loss() override {
    if (noted_ == most_kept) fetch_losses();
    gpu_.copy(kept_.get() + noted_++, loss_, 1);
  }

  std::vector<float> take_losses() override {
    fetch_losses();
    return std::exchange(fetched_, {});
  }

  void count_right(Images& images) override {
    propagate(images);
    sum(images.size(), found_.get(), right_.get(), 1);  // exact up to 2^24
    images.release_after(gpu_.stream());
  }

  std::uint64_t take_right() override {
    float right = 0;
    gpu_.download({&right, 1}, right_.get());
    gpu_.each(1, kernels::Fill{right_.get(), 0});
    return static_cast<std::uint64_t>(right);
  }

 private:
  using Array = decltype(std::declval<Gpu&>().allocate(0));
  static constexpr std::size_t most_kept = 1024;

  const float* at(std::size_t parameter) const {
    const float* values = values_.get();
    for (std::size_t p = 0; p < parameter; ++p) values += parameters()[p].elements;
    return values;
  }

  /// to = the sum of an element a sample + beta to.
  void sum(int samples, const float* elements, float* to, float beta) {
    gpu_.multiply(
        {.m = 1, .n = 1, .k = samples, .a = elements, .b = ones_.get(), .c = to, .beta = beta});
  }

  void reserve(int samples) {
    if (samples < room_) return;
    room_ = samples + 1;  // a rank may have no samples at all
    const auto room = static_cast<std::size_t>(room_);
    const auto widest =
        static_cast<std::size_t>(*std::max_element(widths.begin() + 1, widths.end()));
    for (std::size_t l = 0; l < layers; ++l) {
      out_[l] = gpu_.allocate(room * static_cast<std::size_t>(widths[l + 1]));
    }
    for (auto* array : {&delta_, &below_}) *array = gpu_.allocate(room * widest);
    for (auto* array : {&scales_, &losses_, &found_, &ones_}) *array = gpu_.allocate(room);
    gpu_.each(room_, kernels::Fill{ones_.get(), 1});
  }

  /// Up to the probabilities, each sample's loss and whether it is right.
  void propagate(const Images& images) {
    const int samples = images.size();
    reserve(samples);
    images.wait_on(gpu_.stream());
    std::vector<float> scales(images.weights().begin(), images.weights().end());
    const auto all = static_cast<float>(std::max<std::uint64_t>(images.counted(), 1));
    for (auto& scale : scales) scale /= all;
    gpu_.upload(scales_.get(), scales);
    for (std::size_t l = 0; l < layers; ++l) {
      const int rows = widths[l + 1];
      float* out = out_[l].get();
      gpu_.multiply({.m = rows,
                     .n = samples,
                     .k = widths[l],
                     .a = at(2 * l),
                     .b = l == 0 ? images.pixels() : out_[l - 1].get(),
                     .c = out});
      if (l + 1 < layers) {
        gpu_.each(samples * rows, kernels::AddBiasTanh{out, at(2 * l + 1), rows});
      } else {
        gpu_.each(samples * rows, kernels::AddBias{out, at(2 * l + 1), rows});
      }
    }
    gpu_.each(samples, kernels::Softmax{out_.back().get(), images.labels(), scales_.get(),
                                        losses_.get(), found_.get(), classes});
  }

  void fetch_losses() {
    const auto before = fetched_.size();
    fetched_.resize(before + noted_);
    gpu_.download(std::span(fetched_).subspan(before), kept_.get());
    noted_ = 0;
  }

  Gpu gpu_;
  std::size_t count_ = 0;  // values
  Array values_{};
  Array velocity_{};
  std::vector<float*> gradients_;
  float* loss_ = nullptr;

  int room_ = 0;  // samples, and one
  std::array<Array, layers> out_{};
  Array delta_{};
  Array below_{};
  Array scales_{};  // of each sample in the mean
  Array losses_{};
  Array found_{};
  Array ones_{};

  Array kept_{};  // losses
  std::size_t noted_ = 0;
  std::vector<float> fetched_;
  Array right_{};
};

}  // namespace train
