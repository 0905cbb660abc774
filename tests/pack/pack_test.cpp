// pack() over ranks: the same bytes on any number of them, and all fail together.
#include "pack/pack.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "comm/mpi.hpp"
#include "pack/source.hpp"
#include "support.hpp"

namespace faro::pack::test {
namespace {

/// A directory that all ranks use; rank 0 makes it and removes it.
class PackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    comm_ = comm::from_mpi(MPI_COMM_WORLD);
    const std::string mine = fs::temp_directory_path() / ("faro-pack-" + std::to_string(getpid()));
    path_ = comm::broadcast_text(*comm_, mine, 0);
    if (comm_->rank() == 0) dir_ = std::make_unique<Directory>(path_);
    comm_->barrier();
  }
  void TearDown() override { comm_->barrier(); }

  /// Work of rank 0 alone, before and after which all wait.
  template <class Work>
  void on_root(Work&& work) {
    comm_->barrier();
    if (comm_->rank() == 0) work(*dir_);
    comm_->barrier();
  }

  [[nodiscard]] PackOptions options(const std::string& output) const {
    return {.source = "idx",
            .input = path_,
            .output = path_ + "/" + output,
            .split = "train",
            .samples_per_shard = 7,
            .prefix = "",
            .force = false};
  }

  [[nodiscard]] Error error(const PackOptions& options) {
    return error_of([&] { (void)pack(options, *comm_); });
  }

  std::unique_ptr<comm::Communicator> comm_;
  std::string path_;
  std::unique_ptr<Directory> dir_;
};

std::vector<std::string> names(const std::string& directory) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    found.push_back(entry.path().filename().string());
  }
  std::ranges::sort(found);
  return found;
}

TEST_F(PackTest, CountsAndNames) {
  on_root([](const Directory& dir) { write_set(dir, 30); });
  std::uint64_t reported = 0;
  const PackResult result = pack(options("out"), *comm_, [&](const PackResult& so_far, auto all) {
    EXPECT_GT(so_far.samples, reported);
    EXPECT_EQ(all, 30U);
    reported = so_far.samples;
  });
  EXPECT_EQ(reported, comm_->rank() == 0 ? 30U : 0U);
  EXPECT_EQ(result.samples, 30U);
  EXPECT_EQ(result.shards, 5U);
  EXPECT_EQ(result.pattern, path_ + "/out/train-{000000..000004}.tar");
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path_ + "/out")) bytes += entry.file_size();
  EXPECT_EQ(result.shard_bytes, bytes);
  EXPECT_EQ(names(path_ + "/out"),
            (std::vector<std::string>{"train-000000.tar", "train-000001.tar", "train-000002.tar",
                                      "train-000003.tar", "train-000004.tar"}));
}

// The reference is what a job of one rank makes, whatever the number of ranks of this one.
TEST_F(PackTest, BytesDoNotDependOnTheRanks) {
  on_root([](const Directory& dir) { write_set(dir, 30); });
  (void)pack(options("all"), *comm_);
  const auto alone = comm::from_mpi(MPI_COMM_SELF);
  if (comm_->rank() == 0) (void)pack(options("alone"), *alone);
  comm_->barrier();
  for (const std::string& name : names(path_ + "/alone")) {
    EXPECT_EQ(read(path_ + "/all/" + name), read(path_ + "/alone/" + name)) << name;
  }
}

TEST_F(PackTest, OneShardHasAPlainName) {
  on_root([](const Directory& dir) { write_set(dir, 3); });
  PackOptions few = options("out");
  few.prefix = "few";
  const PackResult result = pack(few, *comm_);
  EXPECT_EQ(result.pattern, path_ + "/out/few-000000.tar");
  EXPECT_TRUE(fs::exists(result.pattern));
}

TEST_F(PackTest, RefusesToOverwrite) {
  on_root([](const Directory& dir) { write_set(dir, 30); });
  PackOptions again = options("out");
  (void)pack(again, *comm_);
  EXPECT_EQ(error(again).code(), ErrorCode::invalid_argument);
  again.force = true;
  EXPECT_EQ(pack(again, *comm_).shards, 5U);
  again.samples_per_shard = 10;  // three shards: two old ones would be left over
  const Error left = error(again);
  EXPECT_EQ(left.code(), ErrorCode::invalid_argument);
  EXPECT_NE(std::string(left.what()).find("left over"), std::string::npos) << left.what();
  EXPECT_EQ(names(path_ + "/out").size(), 5U);
  again.prefix = "other";
  EXPECT_EQ(pack(again, *comm_).shards, 3U);
}

TEST_F(PackTest, BadOptionsAreOneErrorOnAllRanks) {
  on_root([](const Directory& dir) { write_set(dir, 30); });
  PackOptions bad = options("out");
  bad.samples_per_shard = 0;
  EXPECT_EQ(error(bad).code(), ErrorCode::invalid_argument);
  bad = options("out");
  bad.input = path_ + "/nowhere";
  EXPECT_EQ(error(bad).code(), ErrorCode::not_found);
  bad = options("out");
  bad.prefix = "../train";
  EXPECT_EQ(error(bad).code(), ErrorCode::invalid_argument);
  bad = options("");
  bad.output = "";
  EXPECT_EQ(error(bad).code(), ErrorCode::invalid_argument);
  EXPECT_FALSE(fs::exists(path_ + "/out"));
}

TEST_F(PackTest, EmptySourceIsRefused) {
  on_root([](const Directory& dir) { write_set(dir, 0); });
  EXPECT_EQ(error(options("out")).code(), ErrorCode::invalid_argument);
}

// The last rank alone cannot write: a directory stands where its shard's file would go.
TEST_F(PackTest, FailsTogetherAndLeavesNothing) {
  const std::string blocked = path_ + "/out/train-" + padded(comm_->size() - 1, 5) + ".tar.part";
  on_root([&](const Directory& dir) {
    write_set(dir, 30);
    fs::create_directories(blocked);
  });
  const Error failure = error(options("out"));
  EXPECT_EQ(failure.code(), ErrorCode::io) << failure.what();
  EXPECT_EQ(failure.rank(), comm_->size() - 1);
  comm_->barrier();
  EXPECT_EQ(names(path_ + "/out").size(), 1U);  // what blocked it
}

}  // namespace
}  // namespace faro::pack::test
