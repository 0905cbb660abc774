// The whole engine with a cache: every sample as without, and bytes from the store only once.
#include <gtest/gtest.h>

#include <array>

#include "dataset.hpp"

namespace faro {
namespace {

struct Totals {
  std::uint64_t store_bytes = 0;
  std::uint64_t cache_bytes = 0;
  std::uint64_t written = 0;
  std::uint64_t dropped = 0;
};

/// Runs all epochs with the proof on; the figures of all ranks.
Totals run(test::RawData& data) {
  Loader loader(data.config);
  while (loader.begin_epoch()) {
    while (const auto batch = loader.next()) {
      for (const auto& sample : *batch) {
        std::uint64_t number = 0;
        std::memcpy(&number, sample.at("data").bytes.data(), sizeof(number));
        EXPECT_EQ(number, sample.number);
      }
    }
    EXPECT_TRUE(loader.epoch_stats().verified);
  }
  const auto stats = loader.stats();
  EXPECT_LE(stats.cache_bytes, stats.cache_hits * 4096);
  std::array sums{stats.store_bytes, stats.cache_bytes, stats.cache_written_bytes,
                  stats.cache_dropped};
  data.world->all_reduce(sums, comm::Op::sum);
  return {sums[0], sums[1], sums[2], sums[3]};
}

class LoaderCache : public testing::TestWithParam<std::uint64_t> {};  // ranks of an arena

TEST_P(LoaderCache, InADirectory) {
  test::RawData data;
  data.config.node_ranks = GetParam();
  data.config.verify = true;
  data.config.end = EndPolicy::partial;
  data.config.cache = data.path("cache");
  data.config.cache_limit = 1U << 30;
  const auto bytes = data.samples * test::RawData::record;
  const auto first = run(data);
  EXPECT_EQ(first.store_bytes, bytes);
  EXPECT_EQ(first.written, bytes);
  for (const auto kind : {Window::Kind::bytes, Window::Kind::full}) {
    data.config.window.kind = kind;
    data.config.seed += 1;
    data.config.epochs = 3;
    const auto again = run(data);
    EXPECT_EQ(again.store_bytes, 0U);
    EXPECT_EQ(again.written, 0U);
    EXPECT_EQ(again.dropped, 0U);
    EXPECT_EQ(again.cache_bytes, (kind == Window::Kind::full ? 1 : 3) * bytes);
  }
}

TEST_P(LoaderCache, InMemory) {
  test::RawData data;
  data.config.node_ranks = GetParam();
  data.config.verify = true;
  data.config.end = EndPolicy::pad;
  data.config.cache = "memory";
  data.config.epochs = 4;
  const auto bytes = data.samples * test::RawData::record;
  for (const auto limit : {std::uint64_t{1} << 30, bytes, bytes / 2, std::uint64_t{1}}) {
    data.config.cache_limit = limit;
    const auto totals = run(data);
    EXPECT_EQ(totals.store_bytes + totals.cache_bytes, 4 * bytes);
    EXPECT_EQ(totals.dropped, 0U);
    EXPECT_GE(totals.cache_bytes, limit > bytes ? 2 * bytes : 0);
    EXPECT_LE(totals.cache_bytes, limit > 1 ? 3 * bytes : 0);
  }
  // Where all stays in memory anyway, there is none.
  data.config.window.kind = Window::Kind::full;
  data.config.cache_limit = 1U << 30;
  const auto totals = run(data);
  EXPECT_EQ(totals.store_bytes, bytes);
  EXPECT_EQ(totals.written, 0U);
}

TEST_P(LoaderCache, LeftInTheMiddle) {
  test::RawData data;
  data.config.node_ranks = GetParam();
  data.config.epochs = 3;
  data.config.cache_limit = 1U << 30;
  for (const auto& cache : {std::string("memory"), data.path("cache")}) {
    data.config.cache = cache;
    for (const std::uint64_t steps : {0, 1, 20}) {
      Loader loader(data.config);
      loader.begin_epoch();
      for (std::uint64_t step = 0; step < steps; ++step) EXPECT_TRUE(loader.next());
      data.world->barrier();
    }
  }
  // What is left in the directory is of use.
  data.config.verify = true;
  const auto totals = run(data);
  EXPECT_EQ(totals.dropped, 0U);
}

TEST(LoaderCacheSettings, AreTheSameOnAllRanks) {
  test::RawData data;
  data.config.cache = "memory";
  data.config.cache_limit = 1000 + static_cast<std::uint64_t>(data.world->rank());
  if (data.world->size() == 1) {
    GTEST_SKIP() << "only ranks that differ can disagree, and this is a run of one rank";
  }
  const auto text =
      test::error_of([&] { Loader loader(data.config); }, ErrorCode::invalid_argument);
  EXPECT_SAYS(text, "cache_limit");
}

TEST(LoaderCacheSettings, AnUnusableDirectoryIsAnErrorOnAllRanks) {
  test::RawData data;
  data.config.cache = "/proc/none";
  data.config.cache_limit = 1U << 20;
  EXPECT_SAYS(test::error_of([&] { Loader loader(data.config); }).what(), "/proc/none");
}

INSTANTIATE_TEST_SUITE_P(, LoaderCache, testing::Values(0, 1, 2));

}  // namespace
}  // namespace faro
