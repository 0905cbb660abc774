#include "store/budget.hpp"

#include <gtest/gtest.h>

namespace faro::store {
namespace {

using Clock = RetryBudget::Clock;
using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Clock::time_point start{};

/// How many retries of this cost a bucket gives at once.
int burst(RetryBudget& budget, double cost, Clock::time_point now) {
  int retries = 0;
  while (budget.take(cost, now) == Clock::duration::zero()) ++retries;
  return retries;
}

TEST(RetryBudget, IsSharedOutOverTheRanks) {
  for (const auto& [ranks, retries] : {std::pair(1U, 100), {2U, 50}, {10U, 10}, {16384U, 10}}) {
    RetryBudget budget(ranks, start);
    EXPECT_EQ(burst(budget, 5, start), retries) << ranks;
  }
}

TEST(RetryBudget, WhoWaitsAsLongAsToldFindsItThere) {
  RetryBudget budget(10, start);
  auto now = start;
  burst(budget, 10, now);
  for (int i = 0; i < 1000; ++i) {
    const auto wait = budget.take(10, now);
    ASSERT_GT(wait, Clock::duration::zero());
    ASSERT_LE(wait, milliseconds(5001));
    ASSERT_GT(budget.take(10, now + wait / 2), Clock::duration::zero());
    now += wait;
    ASSERT_EQ(budget.take(10, now), Clock::duration::zero()) << i;
  }
  EXPECT_GE(now - start, seconds(4990));  // one in 5 s
}

TEST(RetryBudget, GoodAnswersGiveItBackUpToItsSize) {
  RetryBudget budget(1, start);
  burst(budget, 5, start);
  for (int i = 0; i < 9; ++i) budget.refund();
  EXPECT_EQ(burst(budget, 5, start), 1);
  for (int i = 0; i < 10'000; ++i) budget.refund();
  EXPECT_EQ(burst(budget, 5, start), 100);
  EXPECT_EQ(burst(budget, 5, start + seconds(100'000)), 100);
}

TEST(RetryBudget, AClockThatStandsOrGoesBackTakesNothing) {
  RetryBudget budget(1, start + seconds(10));
  EXPECT_EQ(burst(budget, 5, start), 100);
  EXPECT_EQ(burst(budget, 5, start + seconds(10)), 0);
  EXPECT_EQ(burst(budget, 5, start + seconds(20)), 4);
}

}  // namespace
}  // namespace faro::store
