// A fully connected net of three layers, 784-256-128-10, with its gradients written by hand, on the
// host or on a GPU.
//
// tanh, not ReLU: products of another number of columns round differently, and a ReLU that is
// switched by the last bit moves the losses of 1 and 4 ranks apart by 1e-3 within 50 steps. A
// smooth net keeps them together.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "images.hpp"

namespace train {

constexpr std::array<int, 4> widths{pixels, 256, 128, classes};
constexpr std::size_t layers = widths.size() - 1;

struct Parameter {
  std::string name;
  std::size_t elements = 0;
};
/// In the order of the forward pass: w1, b1, w2, b2, w3, b3. Weights are stored column by column, a
/// row for each of the layer's outputs.
[[nodiscard]] const std::vector<Parameter>& parameters();
/// All parameters' values, one behind the other: normal with variance 1 / inputs, the same for the
/// same seed.
[[nodiscard]] std::vector<float> first_values(std::uint64_t seed);

/// On a GPU calls return before their work is done; it is done in order, on stream(). The images
/// of a call may go when it has returned.
class Net {
 public:
  virtual ~Net() = default;
  /// In whose memory values, gradients and images lie: CUDA's number of the GPU, or -1, the host.
  [[nodiscard]] virtual int device() const = 0;
  [[nodiscard]] virtual void* stream() const = 0;  ///< cudaStream_t; nullptr on the host
  /// As first_values() has them.
  [[nodiscard]] virtual std::span<float> values() = 0;

  /// Where backward() writes each parameter's gradient, and forward() the mean loss.
  virtual void set_gradients(std::vector<float*> gradients, float* loss) = 0;
  /// The mean cross entropy of the images that are no pads; 0 where there are none.
  virtual void forward(const Images& images) = 0;
  /// After forward() of the same images: the gradients of their mean loss, last layer first. Says
  /// when each one is there, or on the stream.
  virtual void backward(Images& images, const std::function<void(std::size_t)>& ready) = 0;
  /// Stochastic gradient descent with momentum.
  virtual void update(float rate, float momentum) = 0;

  /// Notes what stands where forward() has written the loss.
  virtual void keep_loss() = 0;
  /// What was noted since the last call. Waits for it.
  [[nodiscard]] virtual std::vector<float> take_losses() = 0;
  /// Counts the images, pads left out, whose class the net finds.
  virtual void count_right(Images& images) = 0;
  /// The number since the last call. Waits for it.
  [[nodiscard]] virtual std::uint64_t take_right() = 0;
};

/// With Eigen, in host memory.
[[nodiscard]] std::unique_ptr<Net> make_host_net(std::uint64_t seed);
/// With cuBLAS, in the memory of that GPU. faro::Error(device) where CUDA fails, and in a build
/// without it.
[[nodiscard]] std::unique_ptr<Net> make_cuda_net(std::uint64_t seed, int device);

}  // namespace train
