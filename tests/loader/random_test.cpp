// Runs of random shape: whatever window, batch, block, policy and number of held batches, an epoch
// ends, every sample comes once, and the arena holds what was planned for it. A hang would end as
// an error after peer_timeout.
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

#include "dataset.hpp"
#include "tar_bytes.hpp"

namespace faro::test {
namespace {

/// Shards of samples of 0 bytes to some kB, a few far larger; on rank 0.
void write_shards(const std::string& folder, std::mt19937_64& random) {
  const std::uint64_t shards = 1 + random() % 4;
  for (std::uint64_t s = 0; s < shards; ++s) {
    TarBytes tar;
    const std::uint64_t samples = random() % 3 == 0 ? 0 : random() % 300;
    for (std::uint64_t i = 0; i < samples + (s == 0 ? 8 : 0); ++i) {
      const auto key = std::to_string(s) + "/" + std::to_string(i);
      const std::uint64_t size = random() % 100 == 0 ? random() % 100'000 : random() % 3000;
      tar.add(key + ".bin", std::string(size, static_cast<char>(i)));
      if (random() % 2 == 0) tar.add(key + ".cls", std::to_string(i));
    }
    std::ofstream(folder + "/" + std::to_string(s) + ".tar", std::ios::binary) << tar.end().bytes;
  }
}

void run(std::uint64_t seed) {
  SCOPED_TRACE(seed);
  RawData data(0, 0);
  std::mt19937_64 random(seed);
  if (data.world->rank() == 0) {
    std::mt19937_64 bytes(seed + 1);
    write_shards(data.path(""), bytes);
  }
  data.world->barrier();
  auto& config = data.config;
  config.format = "tar";
  config.raw_record = 0;
  config.data = data.path("*.tar");
  config.seed = seed;
  config.epochs = 1 + random() % 4;
  config.block_size = std::uint64_t{512} << (random() % 9);
  config.request_size = std::uint64_t{4096} << (random() % 4);
  config.window = {Window::Kind::bytes, std::uint64_t{1} << (random() % 20)};
  if (random() % 8 == 0) config.window = {Window::Kind::full, 0};
  config.end = std::array{EndPolicy::drop, EndPolicy::pad, EndPolicy::partial}[random() % 3];
  config.global_batch = 1 + random() % (config.end == EndPolicy::drop ? 8 : 100);
  config.leases = 1 + random() % 4;
  config.node_ranks = random() % (static_cast<std::uint64_t>(data.world->size()) + 1);
  config.exchange = std::array{"auto", "direct", "gathered"}[random() % 3];
  config.verify = random() % 2 == 0;
  // Now and then a rank's consumer leaves in mid-epoch.
  const bool leaves = random() % 4 == 0;
  const bool leaver = static_cast<std::uint64_t>(data.world->rank()) ==
                      random() % static_cast<std::uint64_t>(data.world->size());
  const std::uint64_t leaves_after = 1 + random() % 20;
  std::uint64_t delivered = 0;
  try {
    Loader loader(config);
    // A consumer that holds what it may, and gives it back in any order.
    std::map<std::uint64_t, Batch> held;
    std::uint64_t taken = 0;
    while (loader.begin_epoch()) {
      while (auto batch = loader.next()) {
        held.emplace(taken++, std::move(*batch));
        if (leaves && leaver && taken == leaves_after) return;
        std::erase_if(held, [&](const auto& entry) {
          return entry.first + config.leases <= taken || random() % 3 == 0;
        });
      }
      delivered += loader.epoch_stats().samples;
    }
    if (leaves) return;  // after the last batch
    std::array<std::uint64_t, 1> all{delivered};
    data.world->all_reduce(all, comm::Op::sum);
    EXPECT_EQ(all[0], config.epochs * loader.plan().samples_per_epoch);
    std::array<std::uint64_t, 1> store{loader.stats().store_bytes};
    data.world->all_reduce(store, comm::Op::sum);
    EXPECT_EQ(store[0], loader.plan().store_bytes);
    held.clear();
  } catch (const Error& error) {
    EXPECT_TRUE(leaves && error.code() == ErrorCode::stopped) << error.what();
  }
}

TEST(RandomRuns, Hold) {
  // FARO_TEST_SEEDS=first,last repeats some, or tries more.
  std::uint64_t first = 1;
  std::uint64_t last = 60;
  if (const char* seeds = std::getenv("FARO_TEST_SEEDS")) {
    ASSERT_EQ(std::sscanf(seeds, "%" SCNu64 ",%" SCNu64, &first, &last), 2) << seeds;
  }
  for (auto seed = first; seed <= last; ++seed) {
    run(seed);
    if (testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace faro::test
