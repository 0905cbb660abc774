#include "net.hpp"

#include <cmath>
#include <random>

namespace train {

Net::Net(std::uint64_t seed) {
  std::size_t count = 0;
  for (std::size_t l = 0; l < layers; ++l) {
    count += static_cast<std::size_t>(widths[l] * widths[l + 1] + widths[l + 1]);
  }
  values_.resize(count);
  std::mt19937_64 random(seed);
  auto rest = std::span(values_);
  const auto take = [&](const std::string& name, int elements) {
    const auto values = rest.first(static_cast<std::size_t>(elements));
    rest = rest.subspan(values.size());
    parameters_.push_back({name, values, {}, std::vector<float>(values.size())});
    return values;
  };
  for (std::size_t l = 0; l < layers; ++l) {
    std::normal_distribution<float> normal(0, std::sqrt(1.0F / static_cast<float>(widths[l])));
    for (auto& w : take("w" + std::to_string(l + 1), widths[l] * widths[l + 1])) w = normal(random);
    take("b" + std::to_string(l + 1), widths[l + 1]);
  }
}

Net::Matrix Net::weights(std::size_t layer, bool gradient) {
  const auto& parameter = parameters_[2 * layer];
  return {(gradient ? parameter.gradient : parameter.values).data(), widths[layer + 1],
          widths[layer]};
}

Eigen::Map<Eigen::VectorXf> Net::bias(std::size_t layer, bool gradient) {
  const auto& parameter = parameters_[2 * layer + 1];
  return {(gradient ? parameter.gradient : parameter.values).data(), widths[layer + 1]};
}

Score Net::forward(const Images& images) {
  Score score;
  for (std::size_t l = 0; l < layers; ++l) {
    const auto& in = l == 0 ? images.pixels : out_[l - 1];
    out_[l].noalias() = weights(l, false) * in;
    out_[l].colwise() += bias(l, false);
    if (l + 1 < layers) out_[l] = out_[l].array().tanh();
  }
  auto& last = out_.back();
  for (int i = 0; i < images.size(); ++i) {
    auto column = last.col(i);
    Eigen::Index best = 0;
    column.array() -= column.maxCoeff(&best);
    column = column.array().exp();
    column /= column.sum();
    const int label = images.labels[static_cast<std::size_t>(i)];
    if (images.weights[static_cast<std::size_t>(i)] == 0) continue;
    score.loss -= std::log(std::max(column[label], 1e-30F));
    score.correct += best == label ? 1 : 0;
  }
  return score;
}

void Net::backward(const Images& images, const std::function<void(std::size_t)>& ready) {
  Eigen::MatrixXf delta = out_.back();
  const auto all = std::max<std::uint64_t>(images.counted(), 1);
  for (int i = 0; i < images.size(); ++i) {
    delta(images.labels[static_cast<std::size_t>(i)], i) -= 1;
    delta.col(i) *= images.weights[static_cast<std::size_t>(i)] / static_cast<float>(all);
  }
  for (std::size_t l = layers; l-- > 0;) {
    const auto& in = l == 0 ? images.pixels : out_[l - 1];
    bias(l, true) = delta.rowwise().sum();
    ready(2 * l + 1);
    weights(l, true).noalias() = delta * in.transpose();
    ready(2 * l);
    if (l == 0) break;
    const Eigen::MatrixXf below = weights(l, false).transpose() * delta;
    delta = below.array() * (1 - in.array().square());
  }
}

void Net::update(float rate, float momentum) {
  for (auto& parameter : parameters_) {
    for (std::size_t i = 0; i < parameter.values.size(); ++i) {
      auto& velocity = parameter.velocity[i];
      velocity = momentum * velocity - rate * parameter.gradient[i];
      parameter.values[i] += velocity;
    }
  }
}

}  // namespace train
