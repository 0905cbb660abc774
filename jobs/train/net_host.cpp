#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <utility>

#include "net.hpp"

namespace train {
namespace {

using Matrix = Eigen::Map<Eigen::MatrixXf>;
using ConstMatrix = Eigen::Map<const Eigen::MatrixXf>;
using Vector = Eigen::Map<Eigen::VectorXf>;

class HostNet final : public Net {
 public:
  explicit HostNet(std::uint64_t seed) : values_(first_values(seed)), velocity_(values_.size()) {}

  [[nodiscard]] int device() const override { return -1; }
  [[nodiscard]] void* stream() const override { return nullptr; }
  [[nodiscard]] std::span<float> values() override { return values_; }

  void set_gradients(std::vector<float*> gradients, float* loss) override {
    gradients_ = std::move(gradients);
    loss_ = loss;
  }

  void forward(const Images& images) override {
    propagate(images);
    double sum = 0;
    for (int i = 0; i < images.size(); ++i) {
      if (images.weights()[static_cast<std::size_t>(i)] == 0) continue;
      sum -= std::log(std::max(out_.back()(images.labels()[i], i), 1e-30F));
    }
    *loss_ = static_cast<float>(sum / static_cast<double>(counted(images)));
  }

  void backward(Images& images, const std::function<void(std::size_t)>& ready) override {
    Eigen::MatrixXf delta = out_.back();
    const auto all = static_cast<float>(counted(images));
    for (int i = 0; i < images.size(); ++i) {
      delta(images.labels()[i], i) -= 1;
      delta.col(i) *= images.weights()[static_cast<std::size_t>(i)] / all;
    }
    for (std::size_t l = layers; l-- > 0;) {
      const auto in = input(images, l);
      Vector(gradients_[2 * l + 1], widths[l + 1]) = delta.rowwise().sum();
      ready(2 * l + 1);
      Matrix(gradients_[2 * l], widths[l + 1], widths[l]).noalias() = delta * in.transpose();
      ready(2 * l);
      if (l == 0) break;
      const Eigen::MatrixXf below = weights(l).transpose() * delta;
      delta = below.array() * (1 - in.array().square());
    }
  }

  void update(float rate, float momentum) override {
    std::size_t at = 0;
    for (std::size_t p = 0; p < parameters().size(); ++p) {
      for (std::size_t i = 0; i < parameters()[p].elements; ++i, ++at) {
        velocity_[at] = momentum * velocity_[at] - rate * gradients_[p][i];
        values_[at] += velocity_[at];
      }
    }
  }

  void keep_loss() override { losses_.push_back(*loss_); }
  std::vector<float> take_losses() override { return std::exchange(losses_, {}); }

  void count_right(Images& images) override {
    propagate(images);
    for (int i = 0; i < images.size(); ++i) {
      Eigen::Index best = 0;
      out_.back().col(i).maxCoeff(&best);
      const bool counts = images.weights()[static_cast<std::size_t>(i)] != 0;
      right_ += counts && best == images.labels()[i] ? 1 : 0;
    }
  }
  std::uint64_t take_right() override { return std::exchange(right_, 0); }

 private:
  static std::uint64_t counted(const Images& images) {
    return std::max<std::uint64_t>(images.counted(), 1);
  }
  Matrix weights(std::size_t layer) { return {at(2 * layer), widths[layer + 1], widths[layer]}; }
  float* at(std::size_t parameter) {
    float* values = values_.data();
    for (std::size_t p = 0; p < parameter; ++p) values += parameters()[p].elements;
    return values;
  }
  ConstMatrix input(const Images& images, std::size_t layer) const {
    return {layer == 0 ? images.pixels() : out_[layer - 1].data(), widths[layer], images.size()};
  }

  /// Up to the probabilities.
  void propagate(const Images& images) {
    for (std::size_t l = 0; l < layers; ++l) {
      out_[l].noalias() = weights(l) * input(images, l);
      out_[l].colwise() += Vector(at(2 * l + 1), widths[l + 1]);
      if (l + 1 < layers) out_[l] = out_[l].array().tanh();
    }
    for (auto column : out_.back().colwise()) {
      column.array() -= column.maxCoeff();
      column = column.array().exp();
      column /= column.sum();
    }
  }

  std::vector<float> values_;
  std::vector<float> velocity_;
  std::vector<float*> gradients_;
  float* loss_ = nullptr;
  std::array<Eigen::MatrixXf, layers> out_;  // of each layer; the last one's: probabilities
  std::vector<float> losses_;
  std::uint64_t right_ = 0;
};

}  // namespace

std::unique_ptr<Net> make_host_net(std::uint64_t seed) {
  return std::make_unique<HostNet>(seed);
}

}  // namespace train
