// Chi-square statistics of permutations, and the range in which they must lie.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace faro::order::test {

struct ChiSquare {
  double value = 0;
  double degrees = 0;

  /// A bound of the central 99.9 % of the chi-square distribution: Wilson and Hilferty, "The
  /// distribution of chi-square", PNAS 17, 1931. (X / k)^(1/3) is nearly normal with mean
  /// 1 - 2/(9k) and variance 2/(9k); 3.2905 is the normal distribution's 0.9995 quantile.
  [[nodiscard]] double bound(double sign) const {
    const double variance = 2 / (9 * degrees);
    const double root = 1 - variance + sign * 3.2905267314919255 * std::sqrt(variance);
    return root > 0 ? degrees * root * root * root : 0;
  }
  [[nodiscard]] double low() const { return bound(-1); }
  [[nodiscard]] double high() const { return bound(1); }
  [[nodiscard]] bool in_range() const { return low() <= value && value <= high(); }
};

template <class Bijection>
std::vector<std::uint64_t> images(std::uint64_t size, const Bijection& bijection) {
  std::vector<std::uint64_t> result(size);
  for (std::uint64_t i = 0; i < size; ++i) result[i] = bijection(i);
  return result;
}

/// Differences modulo n of images that are `stride` apart: uniform over 1 to n - 1. In 64 bins.
class Differences {
 public:
  Differences(std::uint64_t n, std::uint64_t stride) : n_(n), stride_(stride) {}

  void add(const std::vector<std::uint64_t>& image) {
    for (std::uint64_t i = 0, j = stride_ % n_; i < n_; ++i, j = j + 1 == n_ ? 0 : j + 1) {
      const std::uint64_t difference =
          image[j] >= image[i] ? image[j] - image[i] : image[j] + n_ - image[i];
      if (difference != 0) ++count_[(difference - 1) * bins / (n_ - 1)];
      ++all_;
    }
  }

  [[nodiscard]] ChiSquare result() const {
    ChiSquare result{0, static_cast<double>(bins - 1)};
    for (std::uint64_t bin = 0; bin < bins; ++bin) {
      const std::uint64_t width = first(bin + 1) - first(bin);  // of the n - 1 differences
      const double expected =
          static_cast<double>(all_) * static_cast<double>(width) / static_cast<double>(n_ - 1);
      const double excess = static_cast<double>(count_[bin]) - expected;
      result.value += excess * excess / expected;
    }
    return result;
  }

 private:
  static constexpr std::uint64_t bins = 64;
  [[nodiscard]] std::uint64_t first(std::uint64_t bin) const {
    return (bin * (n_ - 1) + bins - 1) / bins;
  }

  std::uint64_t n_;
  std::uint64_t stride_;
  std::uint64_t all_ = 0;
  std::vector<std::uint64_t> count_ = std::vector<std::uint64_t>(bins);
};

/// Where each part of the positions goes: a table of parts x parts, summed over permutations of n.
/// Its margins are fixed, so the degrees of freedom are (parts - 1)^2, and a count's variance is
/// that of sampling without replacement, n / (n - 1) times the multinomial one. Parts must divide
/// the positions evenly enough; parts = n gives the matrix of all (position, image) pairs.
class Positions {
 public:
  Positions(std::uint64_t n, std::uint64_t parts)
      : n_(n), parts_(parts), count_(parts * parts), size_(parts) {
    for (std::uint64_t i = 0; i < n; ++i) ++size_[part(i)];
  }

  void add(const std::vector<std::uint64_t>& image) {
    for (std::uint64_t i = 0; i < n_; ++i) ++count_[part(i) * parts_ + part(image[i])];
    ++permutations_;
  }

  [[nodiscard]] ChiSquare result() const {
    const auto n = static_cast<double>(n_);
    const auto side = static_cast<double>(parts_ - 1);
    ChiSquare result{0, side * side};
    for (std::uint64_t i = 0; i < parts_; ++i) {
      for (std::uint64_t j = 0; j < parts_; ++j) {
        const double expected = static_cast<double>(permutations_) * static_cast<double>(size_[i]) *
                                static_cast<double>(size_[j]) / n;
        const double excess = static_cast<double>(count_[i * parts_ + j]) - expected;
        result.value += excess * excess / expected;
      }
    }
    result.value *= (n - 1) / n;
    return result;
  }

 private:
  [[nodiscard]] std::uint64_t part(std::uint64_t i) const { return i * parts_ / n_; }

  std::uint64_t n_;
  std::uint64_t parts_;
  std::uint64_t permutations_ = 0;
  std::vector<std::uint64_t> count_;
  std::vector<std::uint64_t> size_;  // of a part
};

/// How often each of the n! permutations comes, by its rank in the factorial number system.
class Arrangements {
 public:
  explicit Arrangements(std::uint64_t n) : n_(n) {
    std::uint64_t factorial = 1;
    for (std::uint64_t i = 2; i <= n; ++i) factorial *= i;
    count_.resize(factorial);
  }

  [[nodiscard]] std::uint64_t size() const { return count_.size(); }

  void add(const std::vector<std::uint64_t>& image) {
    std::uint64_t rank = 0;
    for (std::uint64_t i = 0; i < n_; ++i) {
      std::uint64_t smaller = 0;
      for (std::uint64_t j = i + 1; j < n_; ++j) smaller += image[j] < image[i] ? 1 : 0;
      rank = rank * (n_ - i) + smaller;
    }
    ++count_[rank];
    ++all_;
  }

  [[nodiscard]] ChiSquare result() const {
    ChiSquare result{0, static_cast<double>(count_.size() - 1)};
    const double expected = static_cast<double>(all_) / static_cast<double>(count_.size());
    for (const std::uint64_t count : count_) {
      const double excess = static_cast<double>(count) - expected;
      result.value += excess * excess / expected;
    }
    return result;
  }

 private:
  std::uint64_t n_;
  std::uint64_t all_ = 0;
  std::vector<std::uint64_t> count_;
};

}  // namespace faro::order::test
