// Epochs: each sample once whatever the window, an order that does not know the ranks, and readers
// that share the bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "blocks.hpp"
#include "faro/error.hpp"
#include "order/order.hpp"

namespace faro::order::test {
namespace {

constexpr std::uint64_t everything = std::numeric_limits<std::uint64_t>::max();
using Blocks = std::vector<manifest::Block>;

/// The epoch's samples, in order of position.
std::vector<std::uint64_t> sequence(const Epoch& epoch, const Blocks& blocks) {
  std::vector<std::uint64_t> samples;
  for (std::uint64_t w = 0; w < epoch.windows(); ++w) {
    const WindowOrder order(epoch, w);
    for (std::uint64_t i = 0; i < order.span().samples; ++i) {
      const Place place = order.place(order.span().first_position + i);
      samples.push_back(blocks[epoch.block(place.turn)].first_sample + place.index);
    }
  }
  return samples;
}

std::vector<std::uint64_t> sequence(const Blocks& blocks, std::uint64_t seed, std::uint64_t epoch,
                                    std::uint64_t window, std::uint32_t ranks = 1) {
  return sequence(Epoch(blocks, seed, epoch, window, ranks, Readers::by_turn), blocks);
}

class Windows : public testing::TestWithParam<std::uint64_t> {
 protected:
  Blocks blocks_ = make_blocks(500, 40, 1'000);
  Epoch epoch_{blocks_, 5, 2, GetParam(), 3, Readers::by_turn};
};

TEST_P(Windows, EverySampleComesOnce) {
  auto samples = sequence(epoch_, blocks_);
  ASSERT_EQ(samples.size(), blocks_.back().first_sample + blocks_.back().count);
  ASSERT_EQ(samples.size(), epoch_.samples());
  std::ranges::sort(samples);
  for (std::uint64_t i = 0; i < samples.size(); ++i) ASSERT_EQ(samples[i], i);
}

TEST_P(Windows, TileTheEpochAsLargeAsTheyMayBe) {
  WindowSpan next;
  for (std::uint64_t w = 0; w < epoch_.windows(); ++w) {
    const WindowSpan& span = epoch_.window(w);
    ASSERT_GE(span.turns, 1U);
    ASSERT_EQ(span.first_turn, next.first_turn);
    ASSERT_EQ(span.first_position, next.first_position);
    next.first_turn += span.turns;
    next.first_position += span.samples;
    std::uint64_t bytes = 0;
    for (std::uint64_t turn = span.first_turn; turn < next.first_turn; ++turn) {
      bytes += blocks_[epoch_.block(turn)].length;
      ASSERT_EQ(epoch_.window_of_turn(turn), w);
    }
    ASSERT_EQ(span.bytes, bytes);
    ASSERT_TRUE(span.turns == 1 || bytes <= GetParam());
    if (next.first_turn < epoch_.turns()) {
      ASSERT_GT(bytes + blocks_[epoch_.block(next.first_turn)].length, GetParam());
    }
  }
  EXPECT_EQ(next.first_turn, epoch_.turns());
  EXPECT_EQ(next.first_position, epoch_.samples());
}

TEST_P(Windows, PlaceAndPositionAreInverse) {
  for (std::uint64_t w = 0; w < epoch_.windows(); ++w) {
    const WindowOrder order(epoch_, w);
    const std::uint64_t first = order.span().first_position;
    for (std::uint64_t p = first; p < first + order.span().samples; ++p) {
      const Place place = order.place(p);
      ASSERT_LT(place.index, blocks_[epoch_.block(place.turn)].count);
      ASSERT_EQ(order.position(place), p);
      ASSERT_EQ(epoch_.window_of_position(p), w);
      ASSERT_EQ(epoch_.window_of_turn(place.turn), w);
    }
    EXPECT_THROW((void)order.place(first + order.span().samples), Error);
    EXPECT_THROW((void)order.place(first - 1), Error);
    EXPECT_THROW((void)order.position({order.span().first_turn + order.span().turns, 0}), Error);
    EXPECT_THROW((void)order.position({order.span().first_turn, 40}), Error);
  }
}

TEST_P(Windows, DoNotKnowTheRanks) {
  const auto alone = sequence(epoch_, blocks_);
  for (const std::uint32_t ranks : {1, 2, 3, 4, 8, 1'000}) {
    for (const Readers readers : {Readers::by_turn, Readers::by_block}) {
      EXPECT_EQ(sequence(Epoch(blocks_, 5, 2, GetParam(), ranks, readers), blocks_), alone);
    }
  }
}

// 0 and 1: a block each. 40,000: the largest block. 10 million: all but a few in one or two.
INSTANTIATE_TEST_SUITE_P(Bytes, Windows,
                         testing::Values(0, 1, 1'000, 40'000, 123'456, 1'000'000, 4'000'000,
                                         10'000'000, everything));

TEST(Window, OneBlockEachAndFull) {
  const Blocks blocks = make_blocks(100, 10, 100);
  EXPECT_EQ(Epoch(blocks, 1, 0, 0, 1, Readers::by_turn).windows(), blocks.size());
  EXPECT_EQ(Epoch(blocks, 1, 0, bytes_of(blocks), 1, Readers::by_turn).windows(), 1U);
  EXPECT_EQ(Epoch(blocks, 1, 0, bytes_of(blocks) - 1, 1, Readers::by_turn).windows(), 2U);
}

TEST(Epoch, BlocksAndTurnsAreInverse) {
  for (const std::uint64_t count : {1, 2, 7, 1'000, 10'000}) {
    const Blocks blocks = make_blocks(count, 3, 9);
    const Epoch epoch(blocks, 1, 1, 1'000, 4, Readers::by_turn);
    for (std::uint64_t turn = 0; turn < count; ++turn) {
      ASSERT_LT(epoch.block(turn), count);
      ASSERT_EQ(epoch.turn_of_block(epoch.block(turn)), turn);
    }
  }
}

TEST(Epoch, WithoutBlocks) {
  const Epoch epoch({}, 1, 1, everything, 4, Readers::by_turn);
  EXPECT_EQ(epoch.samples(), 0U);
  EXPECT_EQ(epoch.turns(), 0U);
  EXPECT_EQ(epoch.windows(), 0U);
  EXPECT_THROW((void)epoch.window_of_position(0), Error);
  EXPECT_THROW((void)epoch.window_of_turn(0), Error);
  EXPECT_THROW(Epoch({}, 1, 1, everything, 0, Readers::by_turn), Error);
}

TEST(Epoch, OrdersAreUnlike) {
  const Blocks blocks = make_blocks(1'000, 40, 100);
  for (const std::uint64_t window : {std::uint64_t{100'000}, everything}) {
    for (const auto& [seed, epoch, other_seed, other_epoch] :
         std::vector<std::array<std::uint64_t, 4>>{
             {1, 0, 1, 1}, {1, 2, 2, 1}, {7, 8, 8, 7}, {0, 1, 1, 0}, {3, 5, 4, 4}}) {
      const auto one = sequence(blocks, seed, epoch, window);
      const auto other = sequence(blocks, other_seed, other_epoch, window);
      std::uint64_t same = 0;
      for (std::uint64_t i = 0; i < one.size(); ++i) same += one[i] == other[i] ? 1 : 0;
      EXPECT_LE(same, 10U);  // of 20,000; one is expected
    }
  }
}

TEST(Epoch, WindowsOfAnEpochAreUnlike) {  // blocks alike, so that only the keys could differ
  Blocks blocks = make_blocks(2, 1, 1);
  for (manifest::Block& block : blocks) block.count = 1'000;
  const Epoch epoch(blocks, 1, 0, 0, 1, Readers::by_turn);
  const WindowOrder first(epoch, 0);
  const WindowOrder second(epoch, 1);
  std::uint64_t same = 0;
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    same += first.place(i).index == second.place(1'000 + i).index ? 1 : 0;
  }
  EXPECT_LE(same, 8U);
}

class ReadersTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  /// Every rank's bytes of some turns less its share, at most.
  [[nodiscard]] double excess(const Epoch& epoch, std::uint64_t first, std::uint64_t last) const {
    std::vector<std::uint64_t> load(GetParam());
    std::uint64_t all = 0;
    for (std::uint64_t turn = first; turn < last; ++turn) {
      load.at(epoch.reader(turn)) += blocks_[epoch.block(turn)].length;
      all += blocks_[epoch.block(turn)].length;
    }
    return static_cast<double>(*std::ranges::max_element(load)) -
           static_cast<double>(all) / GetParam();
  }

  Blocks blocks_ = make_blocks(2'000, 40, 1'000);
  double largest_ =
      static_cast<double>(std::ranges::max_element(blocks_, {}, &manifest::Block::length)->length);
};

TEST_P(ReadersTest, ByTurnBalancesEveryRunOfTurns) {
  const Epoch epoch(blocks_, 1, 3, 2'000'000, GetParam(), Readers::by_turn);
  EXPECT_LE(excess(epoch, 0, epoch.turns()), largest_);
  for (std::uint64_t w = 0; w < epoch.windows(); ++w) {
    const WindowSpan& span = epoch.window(w);
    EXPECT_LE(excess(epoch, span.first_turn, span.first_turn + span.turns), 2 * largest_);
  }
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::uint64_t first = split_mix(1, i) % epoch.turns();
    const std::uint64_t last = first + split_mix(2, i) % (epoch.turns() - first + 1);
    EXPECT_LE(excess(epoch, first, last), 2 * largest_);
  }
}

TEST_P(ReadersTest, ByBlockStaysFromEpochToEpoch) {
  const Epoch one(blocks_, 1, 0, everything, GetParam(), Readers::by_block);
  const Epoch other(blocks_, 9, 5, 1'000, GetParam(), Readers::by_block);
  EXPECT_LE(excess(one, 0, one.turns()), largest_);
  for (std::uint64_t block = 0; block < blocks_.size(); ++block) {
    ASSERT_EQ(one.reader(one.turn_of_block(block)), other.reader(other.turn_of_block(block)));
  }
}

TEST_P(ReadersTest, EveryRankReadsWhereThereAreBlocksEnough) {
  const Epoch epoch(blocks_, 1, 3, everything, GetParam(), Readers::by_turn);
  std::vector<bool> reads(GetParam());
  for (std::uint64_t turn = 0; turn < epoch.turns(); ++turn) reads.at(epoch.reader(turn)) = true;
  EXPECT_EQ(static_cast<std::uint64_t>(std::ranges::count(reads, true)),
            std::min<std::uint64_t>(GetParam(), epoch.turns()));
}

INSTANTIATE_TEST_SUITE_P(Ranks, ReadersTest, testing::Values(1, 2, 3, 4, 8, 100, 5'000));

TEST(Readers, TiesGoToTheLowestRank) {
  Blocks blocks = make_blocks(8, 1, 1);  // a byte each
  const Epoch epoch(blocks, 1, 0, everything, 3, Readers::by_turn);
  for (std::uint64_t turn = 0; turn < 8; ++turn) EXPECT_EQ(epoch.reader(turn), turn % 3);
}

}  // namespace
}  // namespace faro::order::test
