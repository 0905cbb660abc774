// The exchange by itself: ranks fill their arenas by hand, and every sample must come to its slot.
#include "exchange/exchange.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
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

/// And then this. Memory that nobody wrote to does not hold it, nor what is left of a sample of
/// which hide_most() hides nothing where it hides most of this one.
std::byte fill_of(std::uint64_t sample) {
  return static_cast<std::byte>(1 + sample % 250);
}

/// \param huge a block with a hundred times the samples, whose reader holds most of what there is
manifest::Manifest make_manifest(std::uint64_t blocks, std::uint64_t huge = UINT64_MAX) {
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
    if (b == huge) block.count *= 100;
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
  bool mirrored = false;
};

/// All but its first 13 to 19 bytes and its last 5; of some, nothing or all.
Hidden hide_most(const StoredSample& sample, std::uint64_t number, bool starts_shard) {
  EXPECT_EQ(starts_shard, number == 0);
  if (number % 5 == 0) return {};
  if (number % 5 == 1) return {0, sample.bytes.size()};
  const auto begin = 13 + number % 7;
  return {begin, sample.bytes.size() - begin - 5};
}

/// One rank's exchange over two epochs, with all of its blocks in the arena.
class Job {
 public:
  Job(const Case& given, const manifest::Manifest& m)
      : manifest(m),
        node(world->split_by_node(given.node_ranks)),
        schedule(m, {9, 4, epochs, given.window, given.batch, given.end,
                     static_cast<std::uint32_t>(world->size()), 3, 1, capacity, false}),
        arena(*node, capacity),
        // Two buffers are what a consumer needs that holds nothing.
        arrivals({2, capacity, static_cast<std::uint64_t>(world->size()) * given.parts},
                 given.way == Way::gathered ? node.get() : nullptr) {
    ExchangeOptions options;
    for (std::uint32_t r = 0; r < static_cast<std::uint32_t>(world->size()); ++r) {
      const auto of = static_cast<std::uint32_t>(given.node_ranks);
      options.nodes.push_back(of == 0 ? 0 : r / of);
    }
    options.way = given.way;
    options.parts = given.parts;
    options.send_bytes = 1024;  // so small that messages wait for each other
    options.message_limit = given.message_limit;
    if (given.mirrored && options.nodes.front() != options.nodes.back()) {
      device.resize(arrivals.buffers_memory().size());
      arrivals.mirror_to(device);
      options.hide = hide_most;
    }
    exchange.emplace(m, schedule, arena, &arrivals, *world, progress, options);
    fill();
    progress.set_ready({epochs, 0});
  }

  /// Drives it until it has finished; `done` after each batch, with how many there were.
  void run(const auto& done) {
    std::uint64_t batches = 0;
    while (!exchange->finished()) {
      if (batches == epochs * schedule.steps_per_epoch()) progress.end();
      if (!exchange->advance()) sched_yield();
      while (const auto got = exchange->take()) {
        check(*got);
        arena.publish_released(got->epoch * schedule.steps_per_epoch() + got->step + 1);
        done(++batches);
      }
    }
  }

  static constexpr std::uint64_t epochs = 2;
  static constexpr std::uint64_t capacity = 16U << 20;  // for everything: none is given back

  const manifest::Manifest& manifest;
  std::unique_ptr<comm::Communicator> world = comm::from_mpi(MPI_COMM_WORLD);
  std::unique_ptr<comm::Communicator> node;
  Schedule schedule;
  Arena arena;
  Arrivals arrivals;
  std::vector<std::byte> device;  // stands for its memory
  Progress progress;
  std::optional<Exchange> exchange;
  std::vector<std::uint64_t> times = std::vector<std::uint64_t>(epochs * manifest.samples);

 private:
  void fill() {
    for (std::uint64_t e = 0; e < epochs; ++e) {
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
          std::memset(at + offset, static_cast<int>(fill_of(number)), extent.length);
          std::memcpy(at + offset, &number, sizeof(number));
          std::memcpy(at + index_offset(block) + i * sizeof(extent), &extent, sizeof(extent));
          offset += extent.length;
        }
      }
    }
  }

  void check(const LocalBatch& got) {
    const auto plan = schedule.epoch(got.epoch);
    for (std::size_t i = 0; i < got.samples.size(); ++i) {
      const auto& sample = got.samples[i];
      const auto position = plan->steps.position(got.step, got.first_slot + i);
      const auto window_order =
          order::WindowOrder(plan->order, plan->order.window_of_position(position));
      const auto place = window_order.place(position);
      const auto& block = manifest.blocks[plan->order.block(place.turn)];
      ASSERT_EQ(sample.number, block.first_sample + place.index);
      ASSERT_EQ(sample.bytes.size(), size_of(sample.number));
      const auto place_of = arrivals.buffers_memory();
      const bool came = sample.bytes.data() >= place_of.data() &&
                        sample.bytes.data() < place_of.data() + place_of.size();
      if (arrivals.mirrored() && came) {
        const auto [begin, length] =
            hide_most({sample.bytes, {}}, sample.number, sample.starts_shard);
        const auto right = [&](std::byte byte) { return byte == fill_of(sample.number); };
        const auto whole = length == 0 ? sample.bytes.size() : begin;
        check(sample.bytes.first(whole), sample.number);
        ASSERT_TRUE(std::ranges::all_of(
            sample.bytes.subspan(std::max<std::uint64_t>(begin + length, 8)), right));
        const auto hidden = sample.bytes.subspan(begin, length);
        ASSERT_TRUE(hidden.empty() || !std::ranges::all_of(hidden.subspan(8), right));
        check(arrivals.mirror(sample.bytes), sample.number);
      } else {
        check(sample.bytes, sample.number);
      }
      if (!sample.pad) ++times[got.epoch * manifest.samples + sample.number];
    }
  }

  static void check(std::span<const std::byte> bytes, std::uint64_t expected) {
    if (bytes.empty()) return;
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data(), sizeof(number));
    ASSERT_EQ(number, expected);
    for (const auto byte : bytes.subspan(8)) {
      ASSERT_EQ(byte, fill_of(number));
    }
  }
};

class ExchangeCase : public testing::TestWithParam<Case> {};

TEST_P(ExchangeCase, EverySampleComesToItsSlot) {
  for (const std::uint64_t huge : {UINT64_MAX, std::uint64_t{17}}) {
    const auto manifest = make_manifest(60, huge);
    Job job(GetParam(), manifest);
    std::uint64_t batches = 0;
    job.run([&](std::uint64_t count) { batches = count; });
    EXPECT_FALSE(job.exchange->error());
    EXPECT_EQ(batches, Job::epochs * job.schedule.steps_per_epoch());
    job.world->all_reduce(job.times, comm::Op::sum);
    std::uint64_t missing = 0;
    for (const auto count : job.times) {
      EXPECT_LE(count, 1U);
      if (count == 0) ++missing;
    }
    const auto left_out = manifest.samples % GetParam().batch;
    EXPECT_EQ(missing, GetParam().end == EndPolicy::drop ? Job::epochs * left_out : 0);
    job.world->barrier();
  }
}

// A rank that fails or leaves, after however many batches, ends the exchange of all in the same
// way.
TEST_P(ExchangeCase, AFailureEndsAllTheSameWay) {
  const auto manifest = make_manifest(60);
  for (std::uint64_t after : {1, 2, 5, 11}) {
    Job job(GetParam(), manifest);
    const int who = static_cast<int>(after) % job.world->size();
    const bool fails = after % 2 == 1;
    const bool early = after < Job::epochs * job.schedule.steps_per_epoch();
    job.run([&](std::uint64_t batches) {
      if (job.world->rank() != who || batches != after) return;
      if (fails) {
        job.progress.fail(Error(ErrorCode::corrupt, "made up", who));
      } else {
        job.progress.stop();
      }
    });
    if (early) {
      ASSERT_TRUE(job.exchange->failure());
      const auto error = *job.exchange->failure();
      EXPECT_EQ(error.code(), fails ? ErrorCode::corrupt : ErrorCode::stopped) << error.what();
      EXPECT_EQ(error.rank(), who);
    }
    job.world->barrier();
  }
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
                    Case{50'000, 1, EndPolicy::drop, 2, 64, Way::gathered},
                    Case{20'000, 50, EndPolicy::pad, 1, 1U << 30, Way::direct, 1, true},
                    Case{100'000, 7, EndPolicy::partial, 2, 100, Way::direct, 1, true},
                    Case{50'000, 1, EndPolicy::drop, 1, 64, Way::direct, 1, true}));

TEST(Footprint, HoldsTheBlockAndItsIndex) {
  manifest::Block block;
  block.length = 100;
  block.count = 3;
  EXPECT_EQ(index_offset(block), 128U);
  EXPECT_EQ(footprint(block), 256U);
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
