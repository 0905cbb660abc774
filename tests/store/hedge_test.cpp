#include "store/hedge.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace faro::store {
namespace {

constexpr std::uint64_t size = 8 << 20;

TEST(Hedging, KnowsNothingBeforeItHasSeenTwenty) {
  Hedging hedging;
  for (int i = 0; i < 19; ++i) hedging.finished(size, 1, 1);
  for (int i = 0; i < 19; ++i) hedging.finished(2 * size, 1, 1);
  EXPECT_FALSE(hedging.patience(size));
  hedging.finished(size, 1, 1);
  EXPECT_TRUE(hedging.patience(size));
}

TEST(Hedging, ARareSizeIsJudgedByItsNeighbours) {
  Hedging hedging;
  for (int i = 0; i < 20; ++i) hedging.finished(size, 1, 1);
  for (int i = 0; i < 20; ++i) hedging.finished(size / 4, 0.5, 0.5);
  EXPECT_DOUBLE_EQ(*hedging.patience(2 * size - 1), 1.5);
  EXPECT_DOUBLE_EQ(*hedging.patience(size - 1), 1.5);
  EXPECT_DOUBLE_EQ(*hedging.patience(size / 4), 0.75);
  EXPECT_DOUBLE_EQ(*hedging.patience(1), 0.75);
  EXPECT_DOUBLE_EQ(*hedging.patience(0), 0.75);
  EXPECT_DOUBLE_EQ(*hedging.patience(2 * size), 3);
  EXPECT_DOUBLE_EQ(*hedging.patience(8 * size), 12);
  EXPECT_TRUE(hedging.patience(UINT64_MAX));
}

TEST(Hedging, WaitsForOneAndAHalfMediansWhereAllAreAlike) {
  Hedging hedging;
  for (int i = 0; i < 300; ++i) hedging.finished(size, 0.3, 0.3);
  EXPECT_NEAR(*hedging.patience(size), 0.45, 1e-6);
}

TEST(Hedging, WaitsForTheSlowestTwentiethWhereTheyDiffer) {
  Hedging hedging;
  std::minstd_rand random(1);
  std::exponential_distribution<> seconds(10);  // median 0.069, 95 % below 0.3
  for (int i = 0; i < 10'000; ++i) {
    const auto s = seconds(random);
    hedging.finished(size, s, s);
  }
  EXPECT_GE(*hedging.patience(size), 0.2);
  EXPECT_LE(*hedging.patience(size), 0.45);
}

TEST(Hedging, AFewSlowRequestsDoNotTeachPatience) {
  Hedging hedging;
  std::minstd_rand random(2);
  for (int i = 0; i < 100'000; ++i) {
    const double seconds = random() % 100 == 0 ? 30.0 : 0.3;
    hedging.finished(size, seconds, seconds);
    if (const auto patience = hedging.patience(size)) {
      ASSERT_NEAR(*patience, 0.45, 1e-6) << i;
    }
  }
}

TEST(Hedging, ForgetsHowTheStoreWas) {
  Hedging hedging;
  for (int i = 0; i < 1000; ++i) hedging.finished(size, 3, 3);
  for (int i = 0; i < 256 + 8; ++i) hedging.finished(size, 0.1, 0.1);
  EXPECT_NEAR(*hedging.patience(size), 0.15, 1e-6);
}

// Requests that share the way take long, and their first bytes do not.
TEST(Hedging, AFirstByteIsWaitedForLess) {
  Hedging hedging;
  EXPECT_FALSE(hedging.first_patience(size));
  for (int i = 0; i < 300; ++i) hedging.finished(size, 1, 0.2);
  EXPECT_NEAR(*hedging.first_patience(size), 1.5 * 1.5 * 0.2, 1e-6);
  for (int i = 0; i < 300; ++i) hedging.finished(size, 1, 0.01);
  EXPECT_NEAR(*hedging.first_patience(size), 0.1 * 1.5, 1e-6);
  for (int i = 0; i < 300; ++i) hedging.finished(size, 1, 0.9);
  EXPECT_DOUBLE_EQ(*hedging.first_patience(size), *hedging.patience(size));
}

TEST(Hedging, PatienceGrowsAsTheBudgetIsUsedUp) {
  Hedging hedging;
  for (int i = 0; i < 1000; ++i) {
    hedging.started();
    hedging.finished(size, 1, 1);
  }
  EXPECT_DOUBLE_EQ(*hedging.patience(size), 1.5);
  while (hedging.allowed()) {
    const auto before = *hedging.patience(size);
    hedging.hedged();
    EXPECT_GT(*hedging.patience(size), before);
  }
  EXPECT_GT(*hedging.patience(size), 4.5 * 1.5);
  EXPECT_LE(*hedging.patience(size), 5 * 1.5);
  EXPECT_DOUBLE_EQ(*hedging.patience(size, true), 1.5);
}

TEST(Hedging, TwoOfAHundredAtMost) {
  Hedging hedging;
  std::uint64_t hedges = 0;
  for (std::uint64_t requests = 1; requests <= 10'000; ++requests) {
    hedging.started();
    while (hedging.allowed()) {
      hedging.hedged();
      ++hedges;
    }
    ASSERT_LE(hedges * 50, requests + hedges);
  }
  EXPECT_EQ(hedges, 204U);  // 204 / 10,204
}

// As the client does it: ordinary noise leaves the budget to the requests that need it.
TEST(Hedging, NoiseDoesNotUseUpTheBudget) {
  Hedging hedging;
  std::mt19937 random(3);
  std::normal_distribution<> noise(0.3, 0.06);
  int slow = 0, raced = 0, in_vain = 0;
  for (int i = 0; i < 20'000; ++i) {
    hedging.started();
    const bool is_slow = random() % 100 == 0;
    const double seconds = is_slow ? 30 : std::max(noise(random), 0.01);
    const auto patience = hedging.patience(size);
    slow += is_slow ? 1 : 0;
    if (patience && seconds > *patience && hedging.allowed()) {
      hedging.hedged();
      ++(is_slow ? raced : in_vain);
      hedging.finished(size, noise(random), 0.03);
    } else {
      hedging.finished(size, seconds, is_slow ? seconds : 0.03);
    }
  }
  EXPECT_GE(raced, slow - 3);
  EXPECT_LE(in_vain, 60);
}

}  // namespace
}  // namespace faro::store
