// The exchange by itself: ranks fill their arenas by hand, and every sample must come to its slot.
#include "exchange/exchange.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>

#include "comm/mpi.hpp"
#include "format/format.hpp"

namespace faro::exchange {
namespace {

/// Sample n holds n and is half a kB to a few kB long.
std::uint64_t size_of(std::uint64_t sample) {
  return 512 + (sample * 2654435761U) % 3001;
}

manifest::Manifest make_manifest(std::uint64_t blocks) {
  manifest::Manifest m;
  m.format = {"tar"};
  m.shards = {{"file:///none", 0, ""}};
  std::mt19937_64 random(3);
  std::uint64_t sample = 0;
  for (std::uint64_t b = 0; b < blocks; ++b) {
    manifest::Block block;
    block.offset = m.shards[0].size;
    block.first_sample = sample;
    block.count = 1 + static_cast<std::uint32_t>(random() % 20);
    for (std::uint32_t i = 0; i < block.count; ++i, ++sample) {
      block.length += size_of(sample);
      m.sizes.add(size_of(sample));
    }
    m.shards[0].size += block.length;
    m.blocks.push_back(block);
  }
  m.validate();
  return m;
}

struct Case {
  std::uint64_t window;
  std::uint64_t batch;
  EndPolicy end;
  int node_ranks;
  std::uint64_t message_limit;
  Way way = Way::direct;
  std::uint32_t parts = 1;
};

class ExchangeCase : public testing::TestWithParam<Case> {};

TEST_P(ExchangeCase, EverySampleComesToItsSlot) {
  const auto [window, batch, end, node_ranks, limit, way, parts] = GetParam();
  const auto world = comm::from_mpi(MPI_COMM_WORLD);
  const auto node = world->split_by_node(node_ranks);
  const auto manifest = make_manifest(60);
  const auto ranks = static_cast<std::uint32_t>(world->size());
  const std::uint64_t capacity = 4U << 20;  // holds everything: nothing needs to be given back
  Schedule schedule(manifest, {9, 4, 2, window, batch, end, ranks, 3, 1, capacity, false});
  Arena arena(*node, capacity);
  Progress progress;

  ExchangeOptions options;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    options.nodes.push_back(node_ranks == 0 ? 0 : r / static_cast<std::uint32_t>(node_ranks));
  }
  options.way = way;
  options.parts = parts;
  options.send_bytes = 1024;  // so small that messages wait for each other
  options.message_limit = limit;
  Arrivals arrivals({2, 4U << 20, ranks * parts}, way == Way::gathered ? node.get() : nullptr);
  Exchange exchange(manifest, schedule, arena, &arrivals, *world, progress, options);

  for (std::uint64_t e = 0; e < 2; ++e) {
    const auto plan = schedule.epoch(e);
    for (std::uint64_t turn = 0; turn < plan->order.turns(); ++turn) {
      if (plan->order.reader(turn) != static_cast<std::uint32_t>(world->rank())) continue;
      const auto& block = manifest.blocks[plan->order.block(turn)];
      arena.populate(plan->address[turn], footprint(block));
      auto* at = arena.at(node->rank(), plan->address[turn]);
      std::uint64_t offset = 0;
      for (std::uint64_t i = 0; i < block.count; ++i) {
        const auto number = block.first_sample + i;
        const format::Extent extent{offset, size_of(number)};
        std::memset(at + offset, static_cast<int>(number % 251), extent.length);
        std::memcpy(at + offset, &number, sizeof(number));
        std::memcpy(at + index_offset(block) + i * sizeof(extent), &extent, sizeof(extent));
        offset += extent.length;
      }
    }
  }
  progress.set_ready({2, 0});

  std::vector<std::uint64_t> times(2 * manifest.samples);
  std::uint64_t batches = 0;
  while (!exchange.finished()) {
    if (batches == 2 * schedule.steps_per_epoch()) progress.end();
    if (!exchange.advance()) sched_yield();
    while (const auto got = exchange.take()) {
      ++batches;
      const auto plan = schedule.epoch(got->epoch);
      for (std::size_t i = 0; i < got->samples.size(); ++i) {
        const auto& sample = got->samples[i];
        const auto position = plan->steps.position(got->step, got->first_slot + i);
        const auto window_order =
            order::WindowOrder(plan->order, plan->order.window_of_position(position));
        const auto place = window_order.place(position);
        const auto& block = manifest.blocks[plan->order.block(place.turn)];
        ASSERT_EQ(sample.number, block.first_sample + place.index);
        ASSERT_EQ(sample.bytes.size(), size_of(sample.number));
        std::uint64_t number = 0;
        std::memcpy(&number, sample.bytes.data(), sizeof(number));
        ASSERT_EQ(number, sample.number);
        for (const auto byte : sample.bytes.subspan(8)) {
          ASSERT_EQ(byte, static_cast<std::byte>(number % 251));
        }
        if (!sample.pad) ++times[got->epoch * manifest.samples + number];
      }
      arena.publish_released(got->epoch * schedule.steps_per_epoch() + got->step + 1);
    }
  }
  EXPECT_FALSE(exchange.error());
  EXPECT_EQ(batches, 2 * schedule.steps_per_epoch());
  world->all_reduce(times, comm::Op::sum);
  std::uint64_t missing = 0;
  for (const auto count : times) {
    EXPECT_LE(count, 1U);
    if (count == 0) ++missing;
  }
  EXPECT_EQ(missing, end == EndPolicy::drop ? 2 * (manifest.samples % batch) : 0);
  world->barrier();
}

INSTANTIATE_TEST_SUITE_P(
    Ways, ExchangeCase,
    testing::Values(Case{UINT64_MAX, 32, EndPolicy::drop, 0, 1U << 30},
                    Case{20'000, 50, EndPolicy::pad, 0, 1U << 30},
                    Case{20'000, 50, EndPolicy::pad, 1, 1U << 30},
                    Case{1, 64, EndPolicy::partial, 1, 1U << 30},
                    Case{100'000, 7, EndPolicy::pad, 2, 1U << 30},
                    Case{UINT64_MAX, 100, EndPolicy::pad, 1, 100},  // messages cut into pieces
                    Case{50'000, 1, EndPolicy::drop, 1, 64},
                    Case{20'000, 50, EndPolicy::pad, 2, 1U << 30, Way::gathered},
                    Case{1, 64, EndPolicy::partial, 1, 1U << 30, Way::gathered},
                    Case{100'000, 7, EndPolicy::pad, 2, 100, Way::gathered, 2},
                    Case{UINT64_MAX, 100, EndPolicy::drop, 3, 200, Way::gathered, 3},
                    Case{50'000, 1, EndPolicy::drop, 2, 64, Way::gathered}));

TEST(Footprint, HoldsTheBlockAndItsIndex) {
  manifest::Block block;
  block.length = 100;
  block.count = 3;
  EXPECT_EQ(index_offset(block), 112U);
  EXPECT_EQ(footprint(block), 192U);
}

TEST(Schedule, BlocksInUseNeverOverlapInAnArena) {
  const auto manifest = make_manifest(200);
  const std::uint64_t capacity = 1U << 18;
  Schedule schedule(manifest, {1, 0, 3, 50'000, 16, EndPolicy::drop, 3, 1, 1, capacity, false});
  std::vector<std::uint64_t> tail(3, 0);
  for (std::uint64_t e = 0; e < 3; ++e) {
    const auto plan = schedule.epoch(e);
    for (std::uint64_t turn = 0; turn < plan->order.turns(); ++turn) {
      auto& end = tail[plan->order.reader(turn)];
      const auto address = plan->address[turn];
      const auto bytes = footprint(manifest.blocks[plan->order.block(turn)]);
      EXPECT_GE(address, end);
      EXPECT_LE(address % capacity + bytes, capacity);  // never around the end
      EXPECT_EQ(address % 64, 0U);
      end = address + bytes;
    }
  }
}

TEST(Schedule, RoundsCoverTheSteps) {
  const auto manifest = make_manifest(50);
  Schedule schedule(manifest, {1, 0, 2, 50'000, 10, EndPolicy::partial, 2, 4, 1, 1U << 20, false});
  std::uint64_t next = 0;
  std::uint64_t epoch = 0;
  for (std::uint64_t number = 0; number < schedule.rounds(); ++number) {
    const auto round = schedule.round(number);
    EXPECT_EQ(round.epoch, epoch);
    EXPECT_EQ(round.first_step, next);
    EXPECT_GT(round.last_step, round.first_step);
    next = round.last_step;
    if (next == schedule.steps_per_epoch()) next = 0, ++epoch;
  }
  EXPECT_EQ(epoch, 2U);
}

}  // namespace
}  // namespace faro::exchange
