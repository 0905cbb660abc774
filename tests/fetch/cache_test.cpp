// The cache as its users see it, in a directory and in memory, shared by the ranks of a node.
#include "fetch/cache.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "../support/errors.hpp"
#include "base/crc32c.hpp"
#include "blocks.hpp"
#include "comm/mpi.hpp"

namespace faro::fetch {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t page = 4096;

/// Every epoch reads block after block.
class Cycle final : public Foresight {
 public:
  Cycle(std::uint64_t blocks, std::uint64_t epochs) : blocks_(blocks), epochs_(epochs) {}
  std::uint64_t advance(std::uint64_t epoch, std::uint64_t turn) override {
    return now_ = epoch * blocks_ + turn;
  }
  [[nodiscard]] std::uint64_t next_read(std::uint64_t block) const override {
    auto moment = now_ / blocks_ * blocks_ + block;
    if (moment <= now_) moment += blocks_;
    return moment < epochs_ * blocks_ ? moment : never;
  }

 private:
  std::uint64_t blocks_;
  std::uint64_t epochs_;
  std::uint64_t now_ = 0;
};

/// A node of all ranks, and blocks of known bytes.
struct Node {
  explicit Node(std::uint64_t blocks) : manifest(test::make_blocks(blocks)) {
    for (std::uint64_t b = 0; b < blocks; ++b) {
      content.emplace_back(manifest.blocks[b].length, std::byte(b * 37 + 1));
    }
    std::string path;
    if (world->rank() == 0) path = directory->path();
    where = comm::broadcast_text(*world, path, 0);
  }
  ~Node() { world->barrier(); }

  [[nodiscard]] std::unique_ptr<BlockCache> open(const std::string& place, std::uint64_t limit,
                                                 std::uint64_t epochs) {
    return std::make_unique<BlockCache>(CacheOptions{place, limit}, manifest, *world,
                                        std::make_unique<Cycle>(manifest.blocks.size(), epochs));
  }
  [[nodiscard]] bool mine(std::uint64_t block) const {
    return block % static_cast<std::uint64_t>(world->size()) ==
           static_cast<std::uint64_t>(world->rank());
  }
  void put(BlockCache& cache, std::uint64_t block, std::uint64_t epoch) {
    cache.put(block, block, content[block], epoch, block);
  }
  void check_size(std::uint64_t limit) const {
    if (!directory) return;
    EXPECT_LE(directory->bytes(), limit);
  }
  /// What Fetcher does with what find() tells: whether it is the block.
  [[nodiscard]] bool read(BlockCache& cache, std::uint64_t block) const {
    const auto place = cache.find(block);
    if (!place) return false;
    std::ifstream file(place->uri.substr(7), std::ios::binary);
    EntryHeader header;
    std::string bytes(content[block].size(), '\0');
    file.seekg(static_cast<std::streamoff>(place->offset));
    file.read(reinterpret_cast<char*>(&header), sizeof(header));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const auto crc = crc32c(std::as_bytes(std::span(bytes)));
    if (!cache.matches(header, block, crc)) return false;
    EXPECT_EQ(crc, crc32c(content[block]));
    return true;
  }

  std::unique_ptr<comm::Communicator> world = comm::from_mpi(MPI_COMM_WORLD);
  std::optional<test::TemporaryDirectory> directory =
      world->rank() == 0 ? std::make_optional<test::TemporaryDirectory>() : std::nullopt;
  std::string where;
  manifest::Manifest manifest;
  std::vector<std::vector<std::byte>> content;
};

void settle(BlockCache& cache) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!cache.idle() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  ASSERT_TRUE(cache.idle());
}

class Cache : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] static std::string place(const Node& node) {
    return std::string(GetParam()) == "memory" ? "memory" : node.where;
  }
};

TEST_P(Cache, KeepsWhatItIsGiven) {
  Node node(60);
  const auto cache = node.open(place(node), 1U << 30, 2);
  std::vector<std::uint64_t> ids;
  std::uint64_t bytes = 0;
  for (std::uint64_t b = 0; b < 60; ++b) {
    if (!node.mine(b)) continue;
    EXPECT_FALSE(cache->find(b));
    EXPECT_TRUE(cache->put(1000 + b, b, node.content[b], 0, b));
    bytes += node.content[b].size();
    ids.push_back(1000 + b);
  }
  settle(*cache);
  std::vector<std::uint64_t> finished;
  cache->finished(finished);
  EXPECT_EQ(finished, ids);
  EXPECT_EQ(cache->counters().written_bytes, bytes);
  node.world->barrier();
  for (std::uint64_t b = 0; b < 60; ++b) EXPECT_TRUE(node.read(*cache, b)) << b;
  // What is there already is not written again.
  for (std::uint64_t b = 0; b < 60; ++b) node.put(*cache, b, 1);
  settle(*cache);
  EXPECT_EQ(cache->counters().written_bytes, bytes);
  EXPECT_EQ(cache->counters().dropped, 0U);
  EXPECT_FALSE(cache->take_warning());
}

TEST_P(Cache, StaysBelowItsLimitAndKeepsWhatIsReadSoonest) {
  Node node(60);
  constexpr std::uint64_t limit = 21 * page;  // and one page for the lock
  const auto cache = node.open(place(node), limit, 3);
  const auto kept = [&] {
    std::vector<std::uint64_t> blocks;
    for (std::uint64_t b = 0; b < 60; ++b) {
      if (node.read(*cache, b)) blocks.push_back(b);
    }
    return blocks;
  };
  const bool alone = node.world->size() == 1;
  for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
    for (std::uint64_t b = 0; b < 60; ++b) {
      if (node.mine(b)) node.put(*cache, b, epoch);
      if (b % 20 == 0) node.check_size(limit);
    }
    settle(*cache);
    node.world->barrier();
    const auto blocks = kept();
    EXPECT_GE(blocks.size(), 20U);
    EXPECT_LE(blocks.size(), 21U);
    // Read in a circle, the first ones are those that are read soonest.
    if (alone) {
      EXPECT_LT(blocks.back(), blocks.size());
    }
    node.world->barrier();
  }
  EXPECT_LE(cache->memory() * static_cast<std::uint64_t>(node.world->size()), limit);
  EXPECT_EQ(cache->counters().dropped, 0U);
}

TEST_P(Cache, TooSmallForAnything) {
  Node node(6);
  const auto cache = node.open(place(node), 1, 2);
  for (std::uint64_t b = 0; b < 6; ++b) node.put(*cache, b, 0);
  settle(*cache);
  node.world->barrier();
  for (std::uint64_t b = 0; b < 6; ++b) EXPECT_FALSE(cache->find(b));
  EXPECT_FALSE(cache->take_warning());
}

TEST_P(Cache, WhatIsDamagedGoesAndComesBack) {
  Node node(6);
  const auto cache = node.open(place(node), 1U << 30, 4);
  if (node.world->rank() == 0) {
    for (std::uint64_t b = 0; b < 6; ++b) node.put(*cache, b, 0);
    settle(*cache);
    cache->damaged(2);
    cache->damaged(2);
    settle(*cache);
    EXPECT_FALSE(cache->find(2));
    EXPECT_TRUE(node.read(*cache, 3));
    EXPECT_EQ(cache->counters().dropped, 2U);
    node.put(*cache, 2, 0);
    settle(*cache);
    EXPECT_TRUE(node.read(*cache, 2));
  }
  node.world->barrier();
}

TEST_P(Cache, ClosedItTakesNothing) {
  Node node(6);
  const auto cache = node.open(place(node), 1U << 30, 2);
  if (node.world->rank() == 0) {
    node.put(*cache, 0, 0);
    settle(*cache);
    cache->close("the test says so");
    cache->close("and again");
    EXPECT_FALSE(cache->put(1, 1, node.content[1], 0, 1));
    EXPECT_TRUE(node.read(*cache, 0));
    const auto warning = cache->take_warning();
    ASSERT_TRUE(warning);
    EXPECT_SAYS(*warning, "the test says so");
    EXPECT_FALSE(cache->take_warning());
    EXPECT_EQ(cache->counters().dropped, 1U);
  }
  node.world->barrier();
}

TEST_P(Cache, AFileTooLargeForTheProcessEndsTheCacheOnly) {
  Node node(6);
  const auto cache = node.open(place(node), 1U << 30, 2);
  if (node.world->rank() == 0) {
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{512, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    EXPECT_TRUE(cache->put(7, 0, node.content[0], 0, 0));
    settle(*cache);
    setrlimit(RLIMIT_FSIZE, &before);
    std::vector<std::uint64_t> finished;
    cache->finished(finished);
    EXPECT_EQ(finished, std::vector<std::uint64_t>{7});
    const auto warning = cache->take_warning();
    ASSERT_TRUE(warning);
    EXPECT_SAYS(*warning, "File too large");
    EXPECT_FALSE(cache->find(0));
    EXPECT_EQ(cache->counters().dropped, 1U);
    EXPECT_EQ(cache->counters().written_bytes, 0U);
  }
  node.world->barrier();
}

INSTANTIATE_TEST_SUITE_P(, Cache, testing::Values("directory", "memory"),
                         [](const auto& info) { return info.param; });

TEST(DirectoryCache, IsThereForTheNextJob) {
  Node node(30);
  {
    const auto cache = node.open(node.where, 1U << 30, 1);
    for (std::uint64_t b = 0; b < 30; ++b) {
      if (node.mine(b)) node.put(*cache, b, 0);
    }
    settle(*cache);
    node.world->barrier();
  }
  const auto cache = node.open(node.where, 1U << 30, 1);
  for (std::uint64_t b = 0; b < 30; ++b) EXPECT_TRUE(node.read(*cache, b));
}

TEST(DirectoryCache, MakesRoomForAnotherDataSet) {
  Node node(20);
  {
    const auto cache = node.open(node.where, 21 * page, 1);
    for (std::uint64_t b = 0; b < 20; ++b) {
      if (node.mine(b)) node.put(*cache, b, 0);
    }
    settle(*cache);
    node.world->barrier();
  }
  node.manifest.shards[0].etag = "\"changed\"";  // the first ten blocks are others now
  const auto cache = node.open(node.where, 21 * page, 1);
  for (std::uint64_t b = 0; b < 20; ++b) EXPECT_EQ(node.read(*cache, b), b >= 10) << b;
  node.world->barrier();
  for (std::uint64_t b = 0; b < 10; ++b) {
    if (node.mine(b)) node.put(*cache, b, 0);
  }
  settle(*cache);
  node.world->barrier();
  for (std::uint64_t b = 0; b < 20; ++b) EXPECT_TRUE(node.read(*cache, b)) << b;
  node.check_size(21 * page);
}

TEST(DirectoryCache, EveryFlippedByteIsFound) {
  Node node(2);
  const auto cache = node.open(node.where, 1U << 30, 1);
  if (node.world->rank() == 0) {
    node.put(*cache, 0, 0);
    settle(*cache);
    const auto path = cache->find(0)->uri.substr(7);
    const auto size = fs::file_size(path);
    for (std::uint64_t at = 0; at < size; ++at) {
      const auto flip = [&] {
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        file.seekg(static_cast<std::streamoff>(at));
        const char byte = static_cast<char>(file.get());
        file.seekp(static_cast<std::streamoff>(at));
        file.put(static_cast<char>(byte ^ 0x10));
      };
      flip();
      EXPECT_FALSE(node.read(*cache, 0)) << at;
      flip();
    }
    EXPECT_TRUE(node.read(*cache, 0));
    for (const std::uint64_t length :
         {size - 1, sizeof(EntryHeader), std::uint64_t{5}, std::uint64_t{0}}) {
      fs::resize_file(path, length);
      EXPECT_FALSE(node.read(*cache, 0)) << length;
    }
  }
  node.world->barrier();
}

TEST(DirectoryCache, BadDirectoriesAreAnErrorOnAllRanks) {
  Node node(2);
  const auto text = test::error_of([&] { static_cast<void>(node.open("/proc/none", 1, 1)); });
  EXPECT_SAYS(text.what(), "/proc/none");
}

}  // namespace
}  // namespace faro::fetch
