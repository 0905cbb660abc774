// What the GPU does to each element beside the matrix products. constexpr, for nvcc's
// --expt-relaxed-constexpr, and plain C++, so that a test runs the same arithmetic on the host.
#pragma once

#include <cmath>
#include <cstdint>

namespace train::kernels {

/// out(row, sample) += bias(row), of a layer with `rows` outputs.
struct AddBias {
  float* out;
  const float* bias;
  int rows;
  constexpr void operator()(int i) const { out[i] += bias[i % rows]; }
};

/// The same, and tanh of it.
struct AddBiasTanh {
  float* out;
  const float* bias;
  int rows;
  constexpr void operator()(int i) const { out[i] = std::tanh(out[i] + bias[i % rows]); }
};

/// A sample's outputs to probabilities; its part of the mean loss, and 1 where its class is found.
/// A scale of 0 is a pad's: neither.
struct Softmax {
  float* out;
  const std::int64_t* labels;
  const float* scales;  ///< of each sample in the mean
  float* losses;
  float* right;
  int classes;
  constexpr void operator()(int sample) const {
    float* column = out + static_cast<std::int64_t>(sample) * classes;
    int best = 0;
    for (int c = 1; c < classes; ++c) {
      if (column[c] > column[best]) best = c;
    }
    const float highest = column[best];
    float sum = 0;
    for (int c = 0; c < classes; ++c) {
      column[c] = std::exp(column[c] - highest);
      sum += column[c];
    }
    for (int c = 0; c < classes; ++c) column[c] /= sum;
    const auto label = labels[sample];
    const bool counts = scales[sample] != 0;
    const float probability = column[label] > 1e-30F ? column[label] : 1e-30F;
    losses[sample] = counts ? -std::log(probability) * scales[sample] : 0.0F;
    right[sample] = counts && best == label ? 1.0F : 0.0F;
  }
};

/// The mean loss by the last layer's outputs before softmax.
struct LossSlope {
  float* delta;
  const float* probabilities;
  const std::int64_t* labels;
  const float* scales;
  int classes;
  constexpr void operator()(int i) const {
    const int sample = i / classes;
    const float target = i % classes == labels[sample] ? 1.0F : 0.0F;
    delta[i] = scales[sample] != 0 ? (probabilities[i] - target) * scales[sample] : 0.0F;
  }
};

/// Through tanh, whose slope follows from its value.
struct TanhSlope {
  float* delta;
  const float* out;
  constexpr void operator()(int i) const { delta[i] *= 1 - out[i] * out[i]; }
};

struct Descend {
  float* values;
  float* velocity;
  const float* gradient;
  float rate;
  float momentum;
  constexpr void operator()(int i) const {
    velocity[i] = momentum * velocity[i] - rate * gradient[i];
    values[i] += velocity[i];
  }
};

struct Fill {
  float* values;
  float value;
  constexpr void operator()(int i) const { values[i] = value; }
};

}  // namespace train::kernels
