// A model of random sizes whose gradients are known on all ranks, and the serial sum.
#pragma once

#include <gtest/gtest.h>
#include <mpi.h>

#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "faro/error.hpp"
#include "faro/gradient_sync.hpp"

namespace faro::sync {

inline int job_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

inline int job_size() {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/// That every rank has the same code, rank and text.
inline void expect_same(const Error& error) {
  std::string text = std::to_string(static_cast<int>(error.code())) + "/" +
                     std::to_string(error.rank()) + "/" + error.what();
  text.resize(1200);
  auto roots = text;
  MPI_Bcast(roots.data(), static_cast<int>(roots.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
  EXPECT_STREQ(text.c_str(), roots.c_str());
}

/// Whole numbers from -64 to 63: their sums are exact in floats.
inline float whole(int rank, std::uint64_t step, std::size_t parameter, std::size_t i) {
  const auto mixed = (static_cast<std::uint64_t>(rank) * 1009 + step * 9176 + parameter * 131 + i) *
                     0x9e3779b97f4a7c15ULL;
  return static_cast<float>(static_cast<int>(mixed >> 57) - 64);
}

struct Model {
  explicit Model(std::vector<std::size_t> elements) {
    for (const auto n : elements) gradients.emplace_back(n);
  }
  /// The same on all ranks. Some are larger than a bucket of small(), the last one is a rest.
  static Model random(unsigned seed) {
    std::mt19937 draw(seed);
    std::vector<std::size_t> elements(1 + draw() % 12);
    for (auto& n : elements) n = 1 + draw() % (draw() % 4 == 0 ? 20000 : 700);
    return Model(elements);
  }
  static GradientSyncOptions small() {
    GradientSyncOptions options;
    options.bucket_bytes = 8000;
    options.first_bucket_bytes = 1000;
    options.peer_timeout = 20;
    return options;
  }
  std::vector<GradientParameter> parameters() {
    std::vector<GradientParameter> all;
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      all.push_back({"p" + std::to_string(p), gradients[p].data(), gradients[p].size(), {}});
    }
    return all;
  }
  void fill(std::uint64_t step) {
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      for (std::size_t i = 0; i < gradients[p].size(); ++i) {
        gradients[p][i] = whole(job_rank(), step, p, i);
      }
    }
  }
  /// Of the first one that differs from the sum over ranks of weight x gradient, over divisor.
  template <class Weight>
  std::optional<std::string> differs(std::uint64_t step, Weight weight, float divisor) const {
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      for (std::size_t i = 0; i < gradients[p].size(); ++i) {
        float sum = 0;
        for (int r = 0; r < job_size(); ++r) sum += weight(r) * whole(r, step, p, i);
        if (gradients[p][i] != sum / divisor) {
          return "parameter " + std::to_string(p) + "[" + std::to_string(i) +
                 "]: " + std::to_string(gradients[p][i]) + ", not " + std::to_string(sum / divisor);
        }
      }
    }
    return std::nullopt;
  }

  std::vector<std::vector<float>> gradients;
};

/// Every rank in an order of its own.
inline std::vector<std::size_t> shuffled(std::size_t count, unsigned seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(),
               std::mt19937(seed * 64 + static_cast<unsigned>(job_rank())));
  return order;
}

}  // namespace faro::sync
