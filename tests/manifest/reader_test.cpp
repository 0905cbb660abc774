// The reader of shards: every byte once and its checksum, or headers alone; bounded memory.
#include <random>

#include "base/crc32c.hpp"
#include "manifest/scan.hpp"
#include "support.hpp"
#include "tar_bytes.hpp"

namespace faro::test {
namespace {

using manifest::Block;

struct Scanned {
  std::vector<Block> blocks;
  manifest::SizeHistogram sizes;
  store::Counters counters;
};

Scanned scan_file(const std::string& file, const manifest::Reading& reading, std::uint64_t target,
                  const format::Spec& spec = {"tar"}, const std::string& etag = "") {
  Scanned scanned;
  manifest::ChunkPool pool(reading.chunk);
  store::Client client({});
  client.stat(0, "file://" + file);
  std::vector<store::Completion> done;
  while (done.empty()) client.poll(done, std::chrono::milliseconds(1000));
  const auto& info = done.front().info;
  const manifest::Shard shard{"file://" + file, info.size, etag.empty() ? info.etag : etag};
  manifest::ShardReader reader(client, pool, shard, reading);
  scanned.blocks =
      manifest::scan_shard(*format::make_format(spec), 3, target, reader, scanned.sizes);
  scanned.counters = client.counters();
  return scanned;
}

/// Small, large, empty and passed-over members, long names, and a large member before the first
/// sample.
std::string random_tar(std::mt19937& random) {
  TarBytes t;
  if (random() % 2 == 0) t.add("nodot", std::string(random() % 700'000, 'n'));
  for (int i = 0; i < 60; ++i) {
    const auto key = std::to_string(i);
    const auto size = random() % (i % 9 == 0 ? 900'000U : i % 3 == 0 ? 60'000U : 3000U);
    if (random() % 4 == 0) t.pax(TarBytes::record("comment", std::string(random() % 90'000, 'c')));
    t.add(key + ".bin", std::string(size, static_cast<char>(random()))).add(key + ".cls", "1");
    if (random() % 8 == 0) t.add("nodot", std::string(random() % 500'000, 'n'));
  }
  return t.end().raw(std::string(random() % 9000, 'z')).bytes;
}

void expect_blocks(const Scanned& scanned, const std::string& bytes, std::uint64_t target,
                   bool all_crcs) {
  const auto tar = format::make_format({"tar"});
  const auto samples = scan(*tar, bytes);
  std::uint64_t offset = 0;
  std::size_t sample = 0;
  std::uint64_t crcs = 0;
  manifest::SizeHistogram sizes;
  for (const auto& s : samples) sizes.add(s.length);
  for (const Block& b : scanned.blocks) {
    EXPECT_EQ(b.shard, 3U);
    EXPECT_EQ(b.offset, offset);
    EXPECT_EQ(samples.at(sample).offset, offset);
    sample += b.count;
    offset += b.length;
    EXPECT_TRUE(b.length <= target + samples[sample - 1].length) << b.length;
    if ((b.flags & Block::has_crc) == 0) continue;
    ++crcs;
    EXPECT_EQ(b.crc32c, crc32c(bytes_of(bytes).subspan(b.offset, b.length)));
  }
  EXPECT_EQ(offset, bytes.size());
  EXPECT_EQ(sample, samples.size());
  if (all_crcs) {
    EXPECT_EQ(crcs, scanned.blocks.size());
  }
  for (std::size_t i = 0; i < manifest::SizeHistogram::buckets; ++i) {
    EXPECT_EQ(scanned.sizes.bucket[i].count, sizes.bucket[i].count);
    EXPECT_EQ(scanned.sizes.bucket[i].largest, sizes.bucket[i].largest);
  }
}

TEST(Reader, EveryByteOnce) {
  const Folder folder;
  std::mt19937 random(1);
  for (int round = 0; round < 12; ++round) {
    const auto bytes = random_tar(random);
    spill(folder.path("s.tar"), bytes);
    const std::uint64_t target = round % 3 == 0 ? 1 : 100'000U << (round % 4);
    manifest::Reading reading{.all = true, .chunk = 65'536U << (round % 6), .ahead = 2};
    const auto scanned = scan_file(folder.path("s.tar"), reading, target);
    expect_blocks(scanned, bytes, target, true);
    EXPECT_EQ(scanned.counters.bytes, bytes.size());
    reading.all = false;
    expect_blocks(scan_file(folder.path("s.tar"), reading, target), bytes, target, false);
  }
}

TEST(Reader, HeadersAlone) {
  const Folder folder;
  TarBytes t;
  for (int i = 0; i < 8; ++i) {
    t.add(std::to_string(i) + ".bin", std::string(2'000'000, 'x'))
        .add(std::to_string(i) + ".cls", "1");
  }
  for (int i = 8; i < 500; ++i) t.add(std::to_string(i) + ".txt", std::string(300, 'x'));
  spill(folder.path("s.tar"), t.end().bytes);
  const manifest::Reading reading{.all = false};
  const auto scanned = scan_file(folder.path("s.tar"), reading, 300'000);
  expect_blocks(scanned, t.bytes, 300'000, false);
  EXPECT_LT(scanned.counters.bytes, t.bytes.size() / 10);
  EXPECT_LT(scanned.counters.requests, 40U);
  EXPECT_EQ(scanned.blocks.front().flags, 0U);
  EXPECT_EQ(scanned.blocks.back().flags, Block::has_crc);  // small samples were read on the way
}

TEST(Reader, RawHeadersAreNotReadAtAll) {
  const Folder folder;
  const std::string bytes = "header" + std::string(1'000'000, 'r');
  spill(folder.path("s.bin"), bytes);
  manifest::Reading reading{.all = false};
  const auto scanned = scan_file(folder.path("s.bin"), reading, 9999, {"raw", 6, 1000});
  EXPECT_EQ(scanned.counters.bytes, 0U);
  EXPECT_EQ(scanned.blocks.size(), 112U);  // 8 records with the header, then 9 each
  reading.all = true;
  reading.chunk = 65536;
  const auto whole = scan_file(folder.path("s.bin"), reading, 9999, {"raw", 6, 1000});
  EXPECT_EQ(whole.counters.bytes, bytes.size());
  for (const Block& b : whole.blocks) {
    EXPECT_EQ(b.crc32c, crc32c(bytes_of(bytes).subspan(b.offset, b.length)));
  }
}

TEST(Reader, NoSamples) {
  const Folder folder;
  spill(folder.path("s.tar"), TarBytes().add("nodot", std::string(500'000, 'x')).end().bytes);
  for (const bool all : {true, false}) {
    EXPECT_TRUE(scan_file(folder.path("s.tar"), {.all = all, .chunk = 65536}, 1000).blocks.empty());
  }
}

TEST(Reader, AReplacedShardIsNoticed) {
  const Folder folder;
  spill(folder.path("s.tar"), TarBytes().add("a.x", "1").end().bytes);
  for (const bool all : {true, false}) {
    static_cast<void>(error_of(
        [&] { return scan_file(folder.path("s.tar"), {.all = all}, 1000, {"tar"}, "other"); },
        ErrorCode::changed));
  }
}

}  // namespace
}  // namespace faro::test
