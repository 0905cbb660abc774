// The loader as a training code uses it, on every rank of a real job.
#include "faro/loader.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "dataset.hpp"

namespace faro::test {
namespace {

/// Consumes an epoch; the times each sample came, over all ranks.
std::vector<std::uint64_t> count_epoch(Loader& loader, RawData& data) {
  std::vector<std::uint64_t> times(data.samples);
  while (const auto batch = loader.next()) {
    for (const auto& sample : *batch) {
      std::uint64_t number = 0;
      std::memcpy(&number, sample.at("data").bytes.data(), sizeof(number));
      EXPECT_EQ(number, sample.number);
      EXPECT_EQ(sample.fields[0].bytes.size(), RawData::record);
      EXPECT_EQ(sample.fields[0].bytes[50], static_cast<std::byte>(number % 251));
      if (!sample.pad) ++times[number];
    }
  }
  data.world->all_reduce(times, comm::Op::sum);
  return times;
}

TEST(Loader, EverySampleOnceInEveryEpochForEveryWindow) {
  for (const auto window :
       {Window{Window::Kind::full, 0}, Window{Window::Kind::bytes, 1},
        Window{Window::Kind::bytes, 5000}, Window{Window::Kind::automatic, 0}}) {
    for (const std::uint64_t node_ranks : {0, 1}) {
      RawData data;
      data.config.window = window;
      data.config.node_ranks = node_ranks;
      data.config.epochs = 3;
      data.config.end = EndPolicy::pad;
      data.config.global_batch = 50;
      data.config.verify = true;
      Loader loader(data.config);
      std::uint64_t epochs = 0;
      while (loader.begin_epoch()) {
        const auto times = count_epoch(loader, data);
        EXPECT_EQ(times, std::vector<std::uint64_t>(data.samples, 1));
        EXPECT_TRUE(loader.epoch_stats().verified);
        ++epochs;
      }
      EXPECT_EQ(epochs, 3U);
    }
  }
}

TEST(Loader, StopsEarlyOnAllRanksAndStartsAgain) {
  RawData data;
  data.config.epochs = 5;
  for (int steps = 0; steps < 12; steps += 3) {
    Loader loader(data.config);
    ASSERT_TRUE(loader.begin_epoch());
    for (int i = 0; i < steps; ++i) ASSERT_TRUE(loader.next());
  }
}

TEST(Loader, SaysWhereTheExchangeHasNoThread) {
  int level = 0;
  MPI_Query_thread(&level);
  RawData data;
  std::vector<std::string> lines;
  const Loader loader(data.config, MPI_COMM_WORLD,
                      [&](const std::string& line) { lines.push_back(line); });
  const auto told = std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("the exchange works inside next()") != std::string::npos;
  });
  EXPECT_EQ(loader.plan().exchange_thread, level == MPI_THREAD_MULTIPLE);
  EXPECT_EQ(told, level < MPI_THREAD_MULTIPLE && data.world->rank() == 0 ? 1 : 0);
}

TEST(Loader, PassesOverWhatIsLeftOfAnEpoch) {
  RawData data;
  data.config.epochs = 3;
  Loader loader(data.config);
  ASSERT_TRUE(loader.begin_epoch());
  ASSERT_TRUE(loader.next());
  ASSERT_TRUE(loader.begin_epoch());
  const auto batch = loader.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->epoch(), 1U);
  EXPECT_EQ(batch->step(), 0U);
}

TEST(Loader, ARankThatLeavesEndsTheRunOnAll) {
  for (const bool verify : {false, true}) {
    RawData data;
    data.config.epochs = 1000;
    data.config.verify = verify;
    std::optional<Loader> loader(std::in_place, data.config);
    const int last = data.world->size() - 1;
    const auto error = [&] {
      return error_of([&] {
        for (int step = 0;; ++step) {
          if (step % 37 == 0) loader->begin_epoch();
          (void)loader->next();
          if (data.world->rank() == last && step == 40) throw Error(ErrorCode::internal, "mine");
        }
      });
    }();
    loader.reset();
    if (data.world->rank() == last) {
      EXPECT_STREQ(error.what(), "mine");
    } else {
      EXPECT_EQ(error.code(), ErrorCode::stopped) << error.what();
      EXPECT_EQ(error.rank(), last);
    }
  }
}

TEST(Loader, ARankThatLeavesBeforeTheVeryEndFailsItOnAll) {
  for (const bool verify : {false, true}) {
    RawData data;
    data.config.verify = verify;
    std::optional<Loader> loader(std::in_place, data.config);
    ASSERT_TRUE(loader->begin_epoch());
    for (std::uint64_t step = 0; step < loader->plan().steps; ++step) ASSERT_TRUE(loader->next());
    if (data.world->rank() == 0) {
      loader.reset();
      continue;
    }
    const auto error = error_of([&] { (void)loader->next(); });
    EXPECT_EQ(error.code(), ErrorCode::stopped) << error.what();
    EXPECT_EQ(error.rank(), 0);
  }
}

TEST(Loader, HoldingTooManyBatchesIsAnErrorNotAHang) {
  RawData data;
  data.config.leases = 2;
  Loader loader(data.config);
  ASSERT_TRUE(loader.begin_epoch());
  std::vector<Batch> held;
  held.push_back(*loader.next());
  held.push_back(*loader.next());  // holding one is what leases = 2 allows
  const auto error = error_of([&] { (void)loader.next(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_SAYS(error.what(), "leases = 2");
  held.erase(held.begin());
  EXPECT_TRUE(loader.next());
}

TEST(Loader, HeldBatchesStayIntactWhileOthersCome) {
  for (const std::uint64_t node_ranks : {0, 1}) {
    RawData data;
    data.config.leases = 6;
    data.config.node_ranks = node_ranks;
    data.config.window = {Window::Kind::bytes, 4096};
    data.config.epochs = 2;
    Loader loader(data.config);
    std::vector<Batch> held;
    while (loader.begin_epoch()) {
      while (auto batch = loader.next()) {
        held.push_back(std::move(*batch));
        if (held.size() == 6) held.erase(held.begin());
        for (const auto& old : held) {
          for (const auto& sample : old) {
            std::uint64_t number = 0;
            std::memcpy(&number, sample.fields[0].bytes.data(), sizeof(number));
            ASSERT_EQ(number, sample.number);
          }
        }
      }
    }
  }
}

TEST(Loader, ABadBlockIsTheSameErrorOnAllRanks) {
  RawData data;
  data.config.manifest = data.path("m.h5");
  data.config.checksums = true;
  data.config.attempts = 2;
  comm::together(*data.world, [&] {
    if (data.world->rank() != 0) return;
    const auto alone = comm::from_mpi(MPI_COMM_SELF);
    manifest::write(manifest::build(data.config, *alone), data.config.manifest);
    // The same size and mtime: only the checksum can tell.
    const auto file = data.path("1.bin");
    const auto time = std::filesystem::last_write_time(file);
    std::fstream shard(file, std::ios::in | std::ios::out | std::ios::binary);
    shard.seekp(20'000);
    shard.put('!');
    shard.close();
    std::filesystem::last_write_time(file, time);
  });
  const auto error = error_of([&] {
    Loader loader(data.config);
    loader.begin_epoch();
    while (loader.next()) {
    }
  });
  EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.what();
  EXPECT_SAYS(error.what(), "1.bin");
  EXPECT_SAYS(error.what(), "2 attempts");
  EXPECT_EQ(comm::broadcast_text(*data.world, error.what(), 0), error.what());
}

TEST(Loader, ABudgetThatIsTooSmallNamesOneThatWillDo) {
  RawData data;
  data.config.memory = 1000;
  const auto error = error_of([&] { Loader loader(data.config); });
  EXPECT_EQ(error.code(), ErrorCode::memory);
  const std::string text = error.what();
  const auto at = text.find("--memory ");
  ASSERT_NE(at, std::string::npos) << text;
  data.config.memory = std::stoull(text.substr(at + 9));
  Loader loader(data.config);
  EXPECT_LE(loader.plan().planned_peak_bytes, data.config.memory);
}

TEST(Loader, SettingsThatDifferBetweenRanksAreRefused) {
  RawData data;
  data.config.seed = static_cast<std::uint64_t>(data.world->rank());
  if (data.world->size() == 1) {
    Loader alone(data.config);
    return;
  }
  const auto error = error_of([&] { Loader loader(data.config); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_SAYS(error.what(), "seed is not the same on all ranks");
}

TEST(Loader, AutoTakesTheLargestWindowThatFits) {
  RawData data(3, 40'000);
  data.config.window = {};
  data.config.max_requests = 1;
  data.config.memory = 3U << 20;
  Loader loader(data.config);
  const auto& plan = loader.plan();
  EXPECT_LE(plan.planned_peak_bytes, data.config.memory);
  EXPECT_GT(plan.window_bytes, data.config.memory / 6);
  ASSERT_TRUE(loader.begin_epoch());
  const auto times = count_epoch(loader, data);
  std::uint64_t once = 0;
  for (const auto count : times) once += count;
  EXPECT_EQ(once, plan.samples_per_epoch);
}

TEST(Loader, WorksOnPartOfTheJob) {
  MPI_Comm half = MPI_COMM_NULL;
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  RawData data;
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
  {
    Loader loader(data.config, half);
    ASSERT_TRUE(loader.begin_epoch());
    std::uint64_t steps = 0;
    while (loader.next()) ++steps;
    EXPECT_EQ(steps, data.samples / 32);
  }
  MPI_Comm_free(&half);
}

}  // namespace
}  // namespace faro::test
