// Permutations are bijections with an inverse at every size, and are the same ones for ever.
#include <gtest/gtest.h>

#include <limits>
#include <unordered_set>
#include <vector>

#include "network.hpp"
#include "order/order.hpp"

namespace faro::order::test {
namespace {

/// Every image in range and taken once, every inverse right.
testing::AssertionResult is_bijection(std::uint64_t size, std::uint64_t key) {
  const Permutation permutation(size, key);
  std::vector<bool> taken(size);
  for (std::uint64_t i = 0; i < size; ++i) {
    const std::uint64_t image = permutation(i);
    if (image >= size || taken[image] || permutation.inverse(image) != i) {
      return testing::AssertionFailure()
             << "size " << size << ", key " << key << ": " << i << " -> " << image;
    }
    taken[image] = true;
  }
  return testing::AssertionSuccess();
}

TEST(Permutation, EverySizeUpTo8192) {  // half of them tables, half of them networks
  for (std::uint64_t size = 0; size <= 8'192; ++size) {
    ASSERT_TRUE(is_bijection(size, derive_key(1, 0, Purpose::samples, size)));
  }
}

TEST(Permutation, LargeSizes) {
  // One above a power of four, where ceil(log2(n - 1)) bits are one too few; squares and their
  // neighbours, where a and b change.
  for (const std::uint64_t size : {65'535, 65'536, 65'537, 65'792, 65'793, 262'145, 1'048'575,
                                   1'048'576, 1'048'577, 10'000'019}) {
    ASSERT_TRUE(is_bijection(size, derive_key(1, 0, Purpose::samples, size)));
    ASSERT_TRUE(is_bijection(size, 0));
  }
}

TEST(Permutation, HugeSizesSampled) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint64_t size :
       {std::uint64_t{1'000'000'000'000}, std::uint64_t{1} << 32, (std::uint64_t{1} << 32) + 1,
        (std::uint64_t{1} << 62) + 1, (std::uint64_t{1} << 63) - 1, most - 1, most}) {
    const Permutation permutation(size, derive_key(1, 0, Purpose::samples, size));
    std::unordered_set<std::uint64_t> taken;
    for (std::uint64_t k = 0; k < 100'000; ++k) {
      // Neighbours at both ends, and spread over all.
      const std::uint64_t i = k % 3 == 0 ? k : k % 3 == 1 ? size - k : k * (size / 100'001);
      const std::uint64_t image = permutation(i);
      ASSERT_LT(image, size);
      ASSERT_EQ(permutation.inverse(image), i) << "size " << size;
      ASSERT_EQ(permutation(permutation.inverse(i)), i) << "size " << size;
      ASSERT_TRUE(taken.insert(image).second) << "size " << size << ": " << i << " -> " << image;
    }
  }
}

TEST(Permutation, IsThePlainNetwork) {
  for (const std::uint64_t size :
       {std::uint64_t{4'097}, std::uint64_t{65'537}, std::uint64_t{10'000'019},
        std::uint64_t{1'000'000'000'000}, (std::uint64_t{1} << 47) + 1}) {
    const std::uint64_t key = derive_key(3, 1, Purpose::blocks);
    const Permutation permutation(size, key);
    const PlainNetwork plain{size, key, 6};
    for (std::uint64_t k = 0; k < 20'000; ++k) {
      const std::uint64_t i = split_mix(9, k) % size;
      ASSERT_EQ(permutation(i), plain(i)) << "size " << size << ", index " << i;
    }
  }
}

TEST(Permutation, KeysGiveUnlikeOrders) {
  for (const std::uint64_t size : {1'000, 100'000}) {
    const Permutation one(size, 1);
    const Permutation other(size, 2);
    std::uint64_t same = 0;
    for (std::uint64_t i = 0; i < size; ++i) same += one(i) == other(i) ? 1 : 0;
    EXPECT_LE(same, 8U);  // Poisson with mean 1: more than 8 once in a million
  }
}

TEST(DeriveKey, TellsAllFourNumbersApart) {
  std::unordered_set<std::uint64_t> keys;
  std::uint64_t made = 0;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    for (std::uint64_t epoch = 0; epoch < 64; ++epoch) {
      for (const Purpose purpose : {Purpose::blocks, Purpose::samples}) {
        for (std::uint64_t index = 0; index < 64; ++index, ++made) {
          keys.insert(derive_key(seed, epoch, purpose, index));
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), made);
}

// A run resumes with a later build of faro: an order that has changed is an order that is lost.
TEST(Golden, TheOrderIsForEver) {
  EXPECT_EQ(derive_key(0, 0, Purpose::blocks), 4254417183290699473U);
  EXPECT_EQ(derive_key(42, 7, Purpose::samples, 3), 14209223345750537367U);
  using Images = std::vector<std::uint64_t>;
  const auto first = [](std::uint64_t size) {
    const Permutation permutation(size, 42);
    return Images{permutation(0), permutation(1), permutation(2)};
  };
  EXPECT_EQ(first(10), (Images{8, 3, 6}));
  EXPECT_EQ(first(4'096), (Images{4'050, 1'306, 2'270}));
  EXPECT_EQ(first(4'097), (Images{1'739, 2'398, 62}));
  EXPECT_EQ(first(1'000'000'000'000), (Images{510'136'859'176, 676'543'909'478, 71'006'285'015}));
}

}  // namespace
}  // namespace faro::order::test
