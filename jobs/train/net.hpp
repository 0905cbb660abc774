// A fully connected net of three layers, 784-256-128-10, with its gradients written by hand.
//
// tanh, not ReLU: products of another number of columns round differently, and a ReLU that is
// switched by the last bit moves the losses of 1 and 4 ranks apart by 1e-3 within 50 steps. A
// smooth net keeps them together.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "images.hpp"

namespace train {

/// Of the weighted samples of a batch.
struct Score {
  double loss = 0;  ///< cross entropy, summed
  std::uint64_t correct = 0;
};

class Net {
 public:
  /// Normal with variance 1 / inputs; the same for the same seed.
  explicit Net(std::uint64_t seed);

  struct Parameter {
    std::string name;
    std::span<float> values;
    std::span<float> gradient;  ///< given by set_gradient()
    std::vector<float> velocity;
  };
  /// In the order of the forward pass: w1, b1, w2, b2, w3, b3.
  [[nodiscard]] std::span<Parameter> parameters() { return parameters_; }
  void set_gradient(std::size_t parameter, std::span<float> memory) {
    parameters_[parameter].gradient = memory;
  }
  /// All values, one behind the other.
  [[nodiscard]] std::span<float> values() { return values_; }

  Score forward(const Images& images);
  /// After forward() of the same images: writes the gradients of the mean loss over the weighted
  /// samples, last layer first, and says when each one is there.
  void backward(const Images& images, const std::function<void(std::size_t)>& ready);
  /// Stochastic gradient descent with momentum.
  void update(float rate, float momentum);

 private:
  using Matrix = Eigen::Map<Eigen::MatrixXf>;
  static constexpr std::array<int, 4> widths{pixels, 256, 128, classes};
  static constexpr std::size_t layers = widths.size() - 1;
  [[nodiscard]] Matrix weights(std::size_t layer, bool gradient);
  [[nodiscard]] Eigen::Map<Eigen::VectorXf> bias(std::size_t layer, bool gradient);

  std::vector<float> values_;
  std::vector<Parameter> parameters_;
  std::array<Eigen::MatrixXf, layers> out_;  // of each layer; the last one's: probabilities
};

}  // namespace train
