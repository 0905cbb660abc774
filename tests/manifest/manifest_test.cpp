// Tables in memory: sizes, validation of hostile ones, digest, bytes for broadcasting.
#include <algorithm>
#include <random>

#include "support.hpp"

namespace faro::test {
namespace {

using manifest::Block;
using manifest::Manifest;
using manifest::SizeHistogram;

TEST(Sizes, BucketsHalveEachPowerOfTwoTwice) {
  EXPECT_EQ(SizeHistogram::bucket_of(0), 0U);
  EXPECT_EQ(SizeHistogram::bucket_of(1), 4U);
  EXPECT_EQ(SizeHistogram::bucket_of(3), 10U);
  EXPECT_EQ(SizeHistogram::bucket_of(1024), 44U);
  EXPECT_EQ(SizeHistogram::bucket_of(1279), 44U);
  EXPECT_EQ(SizeHistogram::bucket_of(1280), 45U);
  EXPECT_EQ(SizeHistogram::bucket_of(2047), 47U);
  EXPECT_EQ(SizeHistogram::bucket_of(UINT64_MAX), SizeHistogram::buckets - 1);
  for (std::uint64_t size = 1; size < 100'000; ++size) {
    EXPECT_GE(SizeHistogram::bucket_of(size), SizeHistogram::bucket_of(size - 1));
  }
}

TEST(Sizes, BoundTheLargest) {
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> sizes(1000);
  SizeHistogram a;
  SizeHistogram b;
  for (auto& size : sizes) {
    size = random() >> (random() % 40 + 20);
    (random() % 2 == 0 ? a : b).add(size);
  }
  a.merge(b);
  std::ranges::sort(sizes, std::greater());
  std::uint64_t sum = 0;
  for (std::size_t k = 1; k <= sizes.size(); ++k) {
    sum += sizes[k - 1];
    EXPECT_GE(a.largest(k), sum);
    EXPECT_LE(a.largest(k), sum + sum / 4 + 1);
  }
  EXPECT_EQ(a.largest(0), 0U);
  EXPECT_EQ(a.largest(1), sizes[0]);
  EXPECT_EQ(a.largest(UINT64_MAX), a.largest(1000));
  a.add(UINT64_MAX, 2);
  EXPECT_EQ(a.largest(2), UINT64_MAX);  // saturates
}

TEST(Validate, SetsTheSums) {
  const auto m = small_manifest();
  EXPECT_EQ(m.samples, 7U);
  EXPECT_EQ(m.bytes, 6144U);
  EXPECT_EQ(m.largest_block, 3072U);
  const std::vector<std::uint64_t> expected{0, 0, 1, 2, 2, 2, 2};
  for (std::uint64_t s = 0; s < 7; ++s) EXPECT_EQ(m.block_of_sample(s), expected[s]);
  static_cast<void>(error_of([&] { return m.block_of_sample(7); }, ErrorCode::internal));
}

TEST(Validate, RefusesHostileTables) {
  const auto refused = [](const auto& edit, const char* part) {
    auto m = small_manifest();
    edit(m);
    EXPECT_SAYS(error_of([&] { m.validate(); }, ErrorCode::format), part);
    const auto bytes = serialise(m);
    EXPECT_SAYS(error_of([&] { return manifest::deserialise(bytes); }, ErrorCode::format), part);
  };
  refused([](Manifest& m) { m.blocks.clear(); }, "no samples");
  refused([](Manifest& m) { m.format.name = "auto"; }, "unknown format 'auto'");
  refused([](Manifest& m) { m.format.name = "raw"; }, "raw records of 0 bytes");
  refused([](Manifest& m) { m.format = {"raw", 0, 100}; }, "block 0: 2 samples in 1024 bytes");
  refused([](Manifest& m) { m.blocks[2].shard = 3; }, "block 2: shard 3 of 3");
  refused([](Manifest& m) { m.blocks[2].shard = UINT32_MAX; }, "block 2: shard 4294967295");
  refused([](Manifest& m) { m.shards.clear(); }, "block 0: shard 0 of 0");
  refused([](Manifest& m) { m.blocks[0].length = 0; }, "block 0 is empty");
  refused([](Manifest& m) { m.blocks[1].count = 0; }, "block 1 is empty");
  refused([](Manifest& m) { m.blocks[0].count = 3; }, "3 samples in 1024 bytes");
  refused([](Manifest& m) { m.blocks[1].flags = 2; }, "block 1: unknown flags 0x2");
  refused([](Manifest& m) { m.blocks[0].offset = 512; }, "block 0 is at byte 512 where 0 is due");
  refused([](Manifest& m) { m.blocks[1].offset = 512; },
          "block 1 is at byte 512 where 1024 is due");
  refused([](Manifest& m) { m.blocks[1].offset = 2048; }, "block 1 is at byte 2048");
  refused([](Manifest& m) { m.blocks[1].length = UINT64_MAX - 100; }, "overflows 64 bits");
  refused([](Manifest& m) { m.blocks[1].length = 2048; },
          "block 1 ends at byte 3072 of a shard of 4096");
  refused([](Manifest& m) { m.blocks[0].length = 4096; }, "block 0 ends at byte 4096");
  refused([](Manifest& m) { m.shards[2].size = 100; },
          "block 2 ends at byte 2048 of a shard of 100");
  refused([](Manifest& m) { m.blocks[2].first_sample = 2; },
          "block 2 begins at sample 2 where 3 is due");
  refused([](Manifest& m) { std::swap(m.blocks[1], m.blocks[2]); }, "block 0 ends at byte 1024");
  refused([](Manifest& m) { m.sizes.add(512); }, "do not agree");
  refused([](Manifest& m) { m.sizes = {}; }, "do not agree");
  refused([](Manifest& m) { m.sizes.bucket[3].largest = 8; }, "bucket 3 holds a size of 8");
  refused([](Manifest& m) { m.sizes.bucket[200].count = UINT64_MAX; }, "overflows");
  refused(
      [](Manifest& m) {  // sizes that would make the memory bound too small
        m.sizes = {};
        m.sizes.add(1, 7);
      },
      "do not agree");
}

TEST(Serial, RoundTripAndEveryLengthChecked) {
  const auto m = small_manifest();
  const auto bytes = serialise(m);
  const auto back = manifest::deserialise(bytes);
  EXPECT_EQ(serialise(back), bytes);
  EXPECT_EQ(back.samples, 7U);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    static_cast<void>(error_of([&] { return manifest::deserialise(std::span(bytes).first(size)); },
                               ErrorCode::format));
  }
  auto longer = bytes;
  longer.push_back({});
  static_cast<void>(error_of([&] { return manifest::deserialise(longer); }, ErrorCode::format));
}

TEST(Digest, IsOfTheDataNotOfWhereItLies) {
  const auto m = small_manifest();
  EXPECT_EQ(m.digest().size(), 32U);
  const auto with = [&](const auto& edit) {
    auto other = small_manifest();
    edit(other);
    return other.digest();
  };
  EXPECT_EQ(m.digest(), with([](Manifest& o) {
              o.shards[0] = {"https://host:8443/other/a.tar?token=1", 4096, "x"};
              o.shards[1].uri = "empty.tar";
            }));
  EXPECT_NE(m.digest(), with([](Manifest& o) { o.shards[0].uri = "file:///data/c.tar"; }));
  EXPECT_NE(m.digest(), with([](Manifest& o) { o.shards[1].size = 2048; }));
  EXPECT_NE(m.digest(), with([](Manifest& o) { o.blocks[0].crc32c = 8; }));
  EXPECT_NE(m.digest(), with([](Manifest& o) { o.format = {"raw", 0, 512}; }));
  EXPECT_NE(m.digest(), with([](Manifest& o) { std::swap(o.shards[0], o.shards[1]); }));
}

}  // namespace
}  // namespace faro::test
