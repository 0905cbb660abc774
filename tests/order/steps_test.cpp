// Steps: slices tile their step, slots know their rank, and every policy ends an epoch as it says.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "faro/error.hpp"
#include "network.hpp"
#include "order/order.hpp"

namespace faro::order::test {
namespace {

constexpr EndPolicy policies[] = {EndPolicy::drop, EndPolicy::pad, EndPolicy::partial};

/// Slices in rank order without gap or overlap, sizes at most one apart.
void expect_tiled(const Steps& steps, std::uint64_t step, std::uint32_t ranks) {
  std::uint64_t next = 0;
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t largest = 0;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    const Steps::Slice slice = steps.slice(step, rank);
    ASSERT_EQ(slice.first, next);
    ASSERT_GE(slice.last, slice.first);
    for (std::uint64_t slot = slice.first; slot < slice.last; ++slot) {
      ASSERT_EQ(steps.rank_of_slot(step, slot), rank);
    }
    next = slice.last;
    smallest = std::min(smallest, slice.size());
    largest = std::max(largest, slice.size());
  }
  ASSERT_EQ(next, steps.slots(step));
  ASSERT_LE(largest - smallest, 1U);
}

/// Each delivered position once and in order; pads repeat the step's own.
void expect_delivered(const Steps& steps) {
  std::uint64_t next = 0;
  for (std::uint64_t step = 0; step < steps.count(); ++step) {
    const std::uint64_t first = next;
    for (std::uint64_t slot = 0; slot < steps.slots(step); ++slot) {
      const std::uint64_t position = steps.position(step, slot);
      if (!steps.is_pad(step, slot)) {
        ASSERT_EQ(position, next++);
      } else {
        ASSERT_EQ(position, first + slot % (next - first));
      }
    }
  }
  ASSERT_EQ(next, steps.delivered());
}

TEST(Steps, ByHand) {
  const Steps drop(130, 64, 3, EndPolicy::drop);
  EXPECT_EQ(drop.count(), 2U);
  EXPECT_EQ(drop.delivered(), 128U);
  EXPECT_EQ(drop.slice(1, 0).size(), 22U);
  EXPECT_EQ(drop.slice(1, 1).size(), 21U);
  EXPECT_EQ(drop.slice(1, 2).last, 64U);

  const Steps pad(130, 64, 3, EndPolicy::pad);
  EXPECT_EQ(pad.count(), 3U);
  EXPECT_EQ(pad.delivered(), 130U);
  EXPECT_EQ(pad.slots(2), 64U);
  EXPECT_FALSE(pad.is_pad(2, 1));
  EXPECT_TRUE(pad.is_pad(2, 2));
  EXPECT_EQ(pad.position(2, 1), 129U);
  EXPECT_EQ(pad.position(2, 2), 128U);
  EXPECT_EQ(pad.position(2, 3), 129U);

  const Steps partial(130, 64, 3, EndPolicy::partial);
  EXPECT_EQ(partial.count(), 3U);
  EXPECT_EQ(partial.delivered(), 130U);
  EXPECT_EQ(partial.slots(2), 2U);
  EXPECT_EQ(partial.slice(2, 0).size(), 1U);
  EXPECT_EQ(partial.slice(2, 1).size(), 1U);
  EXPECT_EQ(partial.slice(2, 2).size(), 0U);
}

TEST(Steps, WholeEpochsOnEveryRankCount) {
  for (const std::uint64_t samples : {0, 1, 49, 50, 51, 63, 64, 65, 1'000, 1'280, 1'600}) {
    for (const std::uint64_t batch : {1, 50, 64}) {
      for (const std::uint32_t ranks : {1, 2, 3, 4, 8, 100}) {
        for (const EndPolicy end : policies) {
          const Steps steps(samples, batch, ranks, end);
          const std::uint64_t left = samples % batch;
          EXPECT_EQ(steps.delivered(), end == EndPolicy::drop ? samples - left : samples);
          EXPECT_EQ(steps.count(), samples / batch + (end != EndPolicy::drop && left != 0 ? 1 : 0));
          for (std::uint64_t step = 0; step < steps.count(); ++step) {
            expect_tiled(steps, step, ranks);
          }
          expect_delivered(steps);
        }
      }
    }
  }
}

TEST(Steps, FewerSamplesThanABatch) {
  EXPECT_EQ(Steps(10, 64, 2, EndPolicy::drop).count(), 0U);
  EXPECT_EQ(Steps(10, 64, 2, EndPolicy::drop).delivered(), 0U);
  const Steps pad(10, 64, 2, EndPolicy::pad);
  EXPECT_EQ(pad.count(), 1U);
  EXPECT_EQ(pad.position(0, 63), 3U);  // the samples repeat as often as they must
  EXPECT_EQ(Steps(10, 64, 2, EndPolicy::partial).slots(0), 10U);
}

TEST(Steps, RandomValues) {
  for (std::uint64_t i = 0; i < 3'000; ++i) {
    const auto random = [i](std::uint64_t k, std::uint64_t n) { return split_mix(i, k) % n; };
    const std::uint64_t samples = random(0, 5'000);
    const std::uint64_t batch = 1 + random(1, 300);
    const auto ranks = static_cast<std::uint32_t>(1 + random(2, 400));
    const Steps steps(samples, batch, ranks, policies[random(3, 3)]);
    expect_delivered(steps);
    if (steps.count() == 0) continue;
    expect_tiled(steps, random(4, steps.count()), ranks);
    expect_tiled(steps, steps.count() - 1, ranks);
  }
}

TEST(Steps, LargeValuesDoNotOverflow) {
  for (std::uint64_t i = 0; i < 3'000; ++i) {
    const auto random = [i](std::uint64_t k) { return split_mix(i, k); };
    // Up to all 64 bits of samples and batch, and all 32 of ranks.
    const std::uint64_t samples = random(0) >> random(1) % 40;
    const std::uint64_t batch = 1 + ((random(2) >> 1) >> random(3) % 60);
    const auto ranks = static_cast<std::uint32_t>(1 + ((random(4) >> 33) >> random(5) % 30));
    const EndPolicy end = policies[i % 3];
    const Steps steps(samples, batch, ranks, end);
    if (steps.count() == 0) continue;
    for (const std::uint64_t step : {std::uint64_t{0}, steps.count() / 2, steps.count() - 1}) {
      const std::uint64_t slots = steps.slots(step);
      ASSERT_EQ(steps.slice(step, 0).first, 0U);
      ASSERT_EQ(steps.slice(step, ranks - 1).last, slots);
      for (const std::uint64_t slot : {std::uint64_t{0}, slots / 3, slots - 1}) {
        const Steps::Slice slice = steps.slice(step, steps.rank_of_slot(step, slot));
        ASSERT_LE(slice.first, slot);
        ASSERT_LT(slot, slice.last);
        ASSERT_LT(steps.position(step, slot), steps.delivered());
      }
    }
    if (end != EndPolicy::pad) {
      const std::uint64_t last = steps.count() - 1;
      ASSERT_EQ(steps.position(last, steps.slots(last) - 1) + 1, steps.delivered());
    }
  }
}

TEST(Steps, RefusesNothingness) {
  EXPECT_THROW(Steps(1, 0, 1, EndPolicy::drop), Error);
  EXPECT_THROW(Steps(1, 1, 0, EndPolicy::drop), Error);
}

}  // namespace
}  // namespace faro::order::test
