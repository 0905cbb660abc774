// Permutations look like random ones: chi-square of differences, of positions and over all
// arrangements, each inside its 99.9 % range for every seed of a fixed list and for all together.
// The same statistics must reject what is not a shuffle.
#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "network.hpp"
#include "order/order.hpp"
#include "statistics.hpp"

namespace faro::order::test {
namespace {

// A fair shuffle leaves its 99.9 % range once in a thousand, and some 400 statistics are taken
// here: one list of seeds in three has an outlier by chance. The list is fixed, and is one without.
constexpr std::array<std::uint64_t, 8> seeds{1, 2, 3, 4, 5, 6, 7, 8};

void expect_in_range(const ChiSquare& chi, const std::string& what) {
  EXPECT_TRUE(chi.in_range()) << what << ": " << chi.value << " is not within " << chi.low()
                              << " and " << chi.high();
}

std::string about(const char* statistic, std::uint64_t n, std::uint64_t seed) {
  return std::string(statistic) + " of " + std::to_string(n) + ", seed " + std::to_string(seed);
}

/// Keys as the engine derives them: epoch after epoch of one seed.
Permutation epoch_permutation(std::uint64_t n, std::uint64_t seed, std::uint64_t epoch) {
  return {n, derive_key(seed, epoch, Purpose::samples)};
}

TEST(Range, AgreesWithTables) {
  // Quantiles 0.0005 and 0.9995 of the chi-square distribution, by summing its series.
  EXPECT_NEAR((ChiSquare{0, 5}.high()), 22.11, 0.4);
  EXPECT_NEAR((ChiSquare{0, 63}.low()), 32.46, 0.1);
  EXPECT_NEAR((ChiSquare{0, 63}.high()), 106.58, 0.1);
  EXPECT_NEAR((ChiSquare{0, 961}.low()), 823.26, 0.1);
  EXPECT_NEAR((ChiSquare{0, 961}.high()), 1111.84, 0.1);
}

class LargeSizes : public testing::TestWithParam<std::pair<std::uint64_t, std::uint64_t>> {};

TEST_P(LargeSizes, DifferencesAndPositions) {
  const auto [n, epochs] = GetParam();
  const std::uint64_t b = PlainNetwork{n, 0, 0}.b();  // where a Feistel network is weakest
  const std::array<std::uint64_t, 3> strides{1, 2, b};
  std::vector<Differences> all_differences;
  for (const std::uint64_t stride : strides) all_differences.emplace_back(n, stride);
  Positions all_positions(n, 32);
  for (const std::uint64_t seed : seeds) {
    std::vector<Differences> differences;
    for (const std::uint64_t stride : strides) differences.emplace_back(n, stride);
    Positions positions(n, 32);
    for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
      const auto image = images(n, epoch_permutation(n, seed, epoch));
      for (std::size_t i = 0; i < strides.size(); ++i) {
        differences[i].add(image);
        all_differences[i].add(image);
      }
      positions.add(image);
      all_positions.add(image);
    }
    for (const auto& one : differences) expect_in_range(one.result(), about("diffs", n, seed));
    expect_in_range(positions.result(), about("positions", n, seed));
  }
  for (const auto& all : all_differences) expect_in_range(all.result(), about("all diffs", n, 0));
  expect_in_range(all_positions.result(), about("all positions", n, 0));
}

// Both sides of the largest table, then the sizes at which other loaders' networks fail.
INSTANTIATE_TEST_SUITE_P(Sizes, LargeSizes,
                         testing::Values(std::pair{1'000, 100}, std::pair{4'096, 50},
                                         std::pair{4'097, 50}, std::pair{10'000, 20},
                                         std::pair{65'537, 5}, std::pair{262'145, 1},
                                         std::pair{1'048'577, 1}, std::pair{10'000'019, 1}));

TEST(SmallSizes, EveryArrangementComesAsOften) {
  for (std::uint64_t n = 3; n <= 7; ++n) {
    for (const std::uint64_t seed : seeds) {
      Arrangements arrangements(n);
      for (std::uint64_t epoch = 0; epoch < 100 * arrangements.size(); ++epoch) {
        arrangements.add(images(n, epoch_permutation(n, seed, epoch)));
      }
      expect_in_range(arrangements.result(), about("arrangements", n, seed));
    }
  }
}

TEST(SmallSizes, EverySampleComesAtEveryPosition) {
  for (const std::uint64_t n : {2, 3, 5, 7, 16, 100, 257}) {
    for (const std::uint64_t seed : seeds) {
      Positions positions(n, n);
      for (std::uint64_t epoch = 0; epoch < 4'000; ++epoch) {
        positions.add(images(n, epoch_permutation(n, seed, epoch)));
      }
      expect_in_range(positions.result(), about("positions", n, seed));
    }
  }
}

// From here on: what is no shuffle, so that the statistics above are known to be able to fail.

TEST(Rejects, TheIdentity) {
  const std::uint64_t n = 65'537;
  const auto image = images(n, [](std::uint64_t i) { return i; });
  Differences differences(n, 1);
  differences.add(image);
  EXPECT_GT(differences.result().value, 100 * differences.result().high());
  Positions positions(n, 32);
  positions.add(image);
  EXPECT_GT(positions.result().value, 100 * positions.result().high());
}

TEST(Rejects, AStride) {  // even in its positions, but every difference is the same
  const std::uint64_t n = 65'537;
  Differences differences(n, 1);
  differences.add(images(n, [](std::uint64_t i) { return i * 40'503 % 65'537; }));
  EXPECT_GT(differences.result().value, 100 * differences.result().high());
}

TEST(Rejects, AShuffleBuffer) {  // takes a random one of the next 4,096, as most loaders do
  const std::uint64_t n = 65'537;
  std::vector<std::uint64_t> image(n);
  std::iota(image.begin(), image.end(), 0);
  for (std::uint64_t i = 0; i < n; ++i) {
    std::swap(image[i], image[i + split_mix(1, i) % std::min<std::uint64_t>(4'096, n - i)]);
  }
  Positions positions(n, 32);
  positions.add(image);
  EXPECT_GT(positions.result().value, 100 * positions.result().high());
}

TEST(Rejects, FourRounds) {  // fair at stride 1: seen where only one half differs
  const std::uint64_t n = 65'537;
  for (const int rounds : {2, 4, 6}) {
    Differences differences(n, PlainNetwork{n, 0, 0}.b());
    for (std::uint64_t epoch = 0; epoch < 20; ++epoch) {
      const std::uint64_t key = derive_key(7, epoch, Purpose::samples);
      differences.add(images(n, PlainNetwork{n, key, rounds}));
    }
    EXPECT_EQ(differences.result().in_range(), rounds == 6)
        << rounds << " rounds: " << differences.result().value;
  }
}

TEST(Rejects, ANetworkOfSevenAndANaiveSwap) {
  const std::uint64_t n = 7;
  Arrangements network(n);
  Arrangements naive(n);
  for (std::uint64_t epoch = 0; epoch < 100 * network.size(); ++epoch) {
    const std::uint64_t key = derive_key(7, epoch, Purpose::samples);
    network.add(images(n, PlainNetwork{n, key, 24}));
    std::vector<std::uint64_t> image(n);
    std::iota(image.begin(), image.end(), 0);
    for (std::uint64_t i = 0; i < n; ++i) std::swap(image[i], image[split_mix(key, i) % n]);
    naive.add(image);
  }
  EXPECT_FALSE(network.result().in_range()) << network.result().value;
  EXPECT_FALSE(naive.result().in_range()) << naive.result().value;
}

}  // namespace
}  // namespace faro::order::test
