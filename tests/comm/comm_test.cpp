// The communicator seam over MPI.
#include "comm/comm.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "comm/mpi.hpp"

namespace faro::comm {
namespace {

class Comm : public testing::Test {
 protected:
  std::unique_ptr<Communicator> comm_ = from_mpi(MPI_COMM_WORLD);
  const int rank_ = comm_->rank();
  const int size_ = comm_->size();
};

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST_F(Comm, Collectives) {
  std::array<std::uint64_t, 2> sums{1, static_cast<std::uint64_t>(rank_)};
  comm_->all_reduce(sums, Op::sum);
  EXPECT_EQ(sums[0], static_cast<std::uint64_t>(size_));
  EXPECT_EQ(sums[1], static_cast<std::uint64_t>(size_ * (size_ - 1) / 2));

  std::array<std::uint64_t, 1> least{static_cast<std::uint64_t>(rank_ + 5)};
  const auto operation = comm_->start_all_reduce(least, Op::min);
  while (!operation->done()) {
  }
  EXPECT_EQ(least[0], 5U);

  const auto mine =
      std::string(static_cast<std::size_t>(rank_ * 3), static_cast<char>('a' + rank_));
  const auto parts = comm_->gather(bytes(mine), 0);
  ASSERT_EQ(parts.size(), rank_ == 0 ? static_cast<std::size_t>(size_) : 0U);
  for (std::size_t r = 0; r < parts.size(); ++r) EXPECT_EQ(parts[r].size(), 3 * r);
  EXPECT_EQ(broadcast_text(*comm_, rank_ == 0 ? "hello" : "", 0), "hello");
}

TEST_F(Comm, SumsOfFloatsAreTheSameBitsEverywhereAndEachTime) {
  for (const std::size_t count : {1, 1000, 100'003}) {  // Open MPI takes another way from 64 KiB on
    std::vector<float> mine(count);
    for (std::size_t i = 0; i < count; ++i) {
      mine[i] = std::sin(static_cast<float>(i * 7 + static_cast<std::size_t>(rank_) * 13));
    }
    std::vector<float> first;
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::vector<float> sums(count);
      const auto operation = comm_->start_sum(mine, sums);
      while (!operation->done()) {
      }
      if (repeat == 0) first = sums;
      EXPECT_EQ(sums, first);
    }
    const auto all = comm_->all_gather(std::as_bytes(std::span(first)));
    for (int r = 0; r < size_; ++r) {
      const auto* theirs = all.data() + static_cast<std::size_t>(r) * count * sizeof(float);
      EXPECT_EQ(std::memcmp(theirs, first.data(), count * sizeof(float)), 0) << "rank " << r;
    }
    double exact = 0;
    for (int r = 0; r < size_; ++r) exact += std::sin(static_cast<float>(r * 13));
    EXPECT_NEAR(first[0], exact, 1e-5);
  }
}

TEST_F(Comm, MessagesAreMatchedByProbe) {
  const std::string text = "from " + std::to_string(rank_);
  const int next = (rank_ + 1) % size_;
  const int before = (rank_ + size_ - 1) % size_;
  const auto sent = comm_->start_send(bytes(text), next, 7);
  std::optional<Incoming> incoming;
  while (!incoming) incoming = comm_->probe(7);
  EXPECT_EQ(incoming->source, before);
  std::string got(incoming->bytes, ' ');
  const auto received = comm_->start_receive(*incoming, std::as_writable_bytes(std::span(got)));
  while (!received->done() || !sent->done()) {
  }
  EXPECT_EQ(got, "from " + std::to_string(before));
  EXPECT_FALSE(comm_->probe(8));
}

TEST_F(Comm, SharedMemoryIsSeenByTheNode) {
  const auto node = comm_->split_by_node(0);
  const auto memory = node->share(8192);
  std::memset(memory->segment(node->rank()).data(), 'a' + node->rank(), 8192);
  node->barrier();
  for (int r = 0; r < node->size(); ++r) {
    const auto segment = memory->segment(r);
    EXPECT_GE(segment.size(), 8192U);
    EXPECT_EQ(segment[8191], static_cast<std::byte>('a' + r));
  }
  node->barrier();
}

TEST_F(Comm, NodesAreCutIntoGroups) {
  const auto pairs = comm_->split_by_node(2);
  EXPECT_LE(pairs->size(), 2);
  EXPECT_EQ(pairs->rank(), rank_ % 2);
}

TEST_F(Comm, OneRanksErrorIsThrownOnAll) {
  const int who = size_ - 1;
  try {
    together(*comm_, [&] {
      if (rank_ == who) throw Error(ErrorCode::corrupt, "shard x is bad");
    });
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    EXPECT_EQ(error.rank(), who);
    EXPECT_STREQ(error.what(), "shard x is bad");
  }
  together(*comm_, [] {});
}

TEST_F(Comm, TheLowestOfSeveralErrorsWins) {
  try {
    together(*comm_, [&] { throw std::runtime_error("rank " + std::to_string(rank_)); });
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
    EXPECT_STREQ(error.what(), "rank 0");
  }
}

TEST_F(Comm, MpisErrorsAreTyped) {
  const std::string text = "x";
  try {
    (void)comm_->start_send(bytes(text), size_ + 3, 1);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::mpi);
    EXPECT_NE(std::string(error.what()).find("MPI_Isend"), std::string::npos);
  }
}

}  // namespace
}  // namespace faro::comm
