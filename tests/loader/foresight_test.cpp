// When the node reads a block next: held against a search through all turns of all epochs.
#include "loader/foresight.hpp"

#include <gtest/gtest.h>

namespace faro::loader {
namespace {

manifest::Manifest make_blocks(std::uint64_t count) {
  manifest::Manifest m;
  m.format = {"tar"};
  m.shards = {{"file:///none", 0, "\"x\""}};
  for (std::uint64_t i = 0; i < count; ++i) {
    manifest::Block block;
    block.offset = m.shards[0].size;
    block.length = 1000 + i % 7;
    block.first_sample = i;
    block.count = 1;
    m.shards[0].size += block.length;
    m.sizes.add(block.length);
    m.blocks.push_back(block);
  }
  m.validate();
  return m;
}

exchange::ScheduleOptions options_of(std::uint64_t epochs, std::uint32_t ranks, bool resident) {
  exchange::ScheduleOptions options;
  options.seed = 3;
  options.first_epoch = 5;
  options.epochs = epochs;
  options.window_bytes = resident ? UINT64_MAX : 9000;
  options.ranks = ranks;
  options.resident = resident;
  return options;
}

void compare(const exchange::ScheduleOptions& options, const std::vector<bool>& here) {
  constexpr std::uint64_t blocks = 50;
  const auto m = make_blocks(blocks);
  NodeForesight foresight(m, options, here, UINT64_MAX);
  const auto epochs = options.resident ? 1 : options.epochs;
  std::vector<order::Epoch> orders;
  for (std::uint64_t e = 0; e < epochs; ++e) orders.push_back(exchange::order_of(m, options, e));
  for (std::uint64_t e = 0; e < epochs; ++e) {
    for (std::uint64_t turn = 0; turn < blocks; turn += 7) {
      const auto now = foresight.advance(e, turn);
      EXPECT_EQ(now, e * blocks + turn);
      for (std::uint64_t block = 0; block < blocks; ++block) {
        std::uint64_t expected = fetch::Foresight::never;
        for (auto later = now + 1; later < epochs * blocks; ++later) {
          const auto& order = orders[later / blocks];
          if (order.block(later % blocks) == block && here[order.reader(later % blocks)]) {
            expected = later;
            break;
          }
        }
        ASSERT_EQ(foresight.next_read(block), expected) << block << " after " << now;
      }
    }
  }
}

TEST(NodeForesight, OneNodeReadsAll) {
  compare(options_of(4, 1, false), {true});
  compare(options_of(4, 3, false), {true, true, true});
}

TEST(NodeForesight, OneNodeOfSeveral) {
  compare(options_of(6, 4, false), {false, true, false, true});
  compare(options_of(12, 4, false), {false, false, false, true});
}

TEST(NodeForesight, WhatStaysIsReadOnce) {
  compare(options_of(5, 2, true), {true, false});
}

TEST(NodeForesight, LooksNoFurtherThanIsOfUse) {
  const auto m = make_blocks(50);
  NodeForesight foresight(m, options_of(6, 4, false), {true, false, false, false}, 5000);
  foresight.advance(0, 49);
  const auto next = exchange::order_of(m, options_of(6, 4, false), 1);
  std::uint64_t known = 0;
  for (std::uint64_t block = 0; block < 50; ++block) {
    const auto turn = next.turn_of_block(block);
    if (next.reader(turn) == 0) {
      EXPECT_EQ(foresight.next_read(block), 50 + turn);
      ++known;
    } else {
      EXPECT_EQ(foresight.next_read(block), fetch::Foresight::later);
    }
  }
  EXPECT_GE(known, 12U);
  // In the last epoch nothing comes later.
  foresight.advance(5, 49);
  for (std::uint64_t block = 0; block < 50; ++block) {
    EXPECT_EQ(foresight.next_read(block), fetch::Foresight::never);
  }
}

}  // namespace
}  // namespace faro::loader
