// The proof must fail where a guarantee is broken.
#include "loader/proof.hpp"

#include "dataset.hpp"

namespace faro::test {
namespace {

using loader::Payload;
using loader::Proof;

/// Two shards of three samples each, one block a shard.
manifest::Manifest two_shards() {
  manifest::Manifest m;
  m.format = {"raw", 0, 10};
  m.shards = {{"file:///a.bin", 30, "1"}, {"file:///b.bin", 30, "2"}};
  m.blocks = {{0, 0, 0, 30, 0, 3, 0}, {1, 0, 0, 30, 3, 3, 0}};
  m.sizes.add(10, 6);
  m.validate();
  return m;
}

class ProofCase : public testing::Test {
 protected:
  static Payload payload(std::uint64_t sample) {
    return {static_cast<std::uint32_t>(sample * 7), 10};
  }
  void read_all(std::uint64_t epoch) {
    for (std::uint64_t b = 0; b < 2; ++b) {
      loader::Sum sum;
      for (auto n = 3 * b; n < 3 * b + 3; ++n) sum.add(n, payload(n));
      proof_.read(epoch, b, sum);
    }
  }
  void close(std::uint64_t samples = 6) {
    proof_.close(0, samples, *comm_, [](auto operation) {
      while (!operation->done()) {
      }
    });
  }
  std::unique_ptr<comm::Communicator> comm_ = comm::from_mpi(MPI_COMM_SELF);
  manifest::Manifest manifest_ = two_shards();
  Proof proof_{manifest_, false};
};

TEST_F(ProofCase, HoldsInAnyOrder) {
  read_all(0);
  for (const std::uint64_t n : {4, 0, 5, 2, 1, 3}) proof_.delivered(0, n, payload(n));
  close();
}

TEST_F(ProofCase, ASampleTwiceForAnotherNamesTheShard) {
  read_all(0);
  for (const std::uint64_t n : {4, 0, 4, 2, 1, 3}) proof_.delivered(0, n, payload(n));
  const auto error = error_of([&] { close(); });
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_SAYS(error.what(), "b.bin (3 samples read, 3 delivered, not the same ones)");
  EXPECT_EQ(std::string(error.what()).find("a.bin"), std::string::npos);
}

TEST_F(ProofCase, AMissingSampleNamesTheShard) {
  read_all(0);
  for (const std::uint64_t n : {0, 2, 3, 4, 5}) proof_.delivered(0, n, payload(n));
  EXPECT_SAYS(error_of([&] { close(); }).what(), "a.bin (3 samples read, 2 delivered)");
}

TEST_F(ProofCase, OtherBytesNameTheShard) {
  read_all(0);
  for (std::uint64_t n = 0; n < 6; ++n) proof_.delivered(0, n, payload(n == 1 ? 2 : n));
  EXPECT_SAYS(error_of([&] { close(); }).what(), "a.bin");
}

TEST_F(ProofCase, ABlockReadTwiceIsFound) {
  read_all(0);
  proof_.read(0, 0, {});
  for (std::uint64_t n = 0; n < 6; ++n) proof_.delivered(0, n, payload(n));
  EXPECT_SAYS(error_of([&] { close(); }).what(), "3 blocks were read where the manifest has 2");
}

TEST_F(ProofCase, WhatDropLeavesOutIsNotMissed) {
  read_all(0);
  proof_.left_out(0, 5, payload(5));
  for (std::uint64_t n = 0; n < 5; ++n) proof_.delivered(0, n, payload(n));
  close(5);
}

TEST_F(ProofCase, ABlockThatNobodyReadIsFound) {
  loader::Sum sum;
  for (std::uint64_t n = 0; n < 3; ++n) {
    sum.add(n, payload(n));
    proof_.delivered(0, n, payload(n));
  }
  proof_.read(0, 0, sum);
  EXPECT_SAYS(error_of([&] { close(); }).what(), "where the manifest has");
}

}  // namespace
}  // namespace faro::test
