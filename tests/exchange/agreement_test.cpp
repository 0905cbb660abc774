// How the ranks agree before a round, and how a silent one is found.
#include "exchange/agreement.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "comm/mpi.hpp"
#include "exchange/roll_call.hpp"

namespace faro::exchange {
namespace {

using Standing = Agreement::Standing;
using Kind = Agreement::Verdict::Kind;

class Ranks : public testing::Test {
 protected:
  Agreement::Verdict agree(Standing mine, const std::optional<Error>& failure = std::nullopt,
                           std::uint64_t missed_from = UINT64_MAX) {
    agreement_.start(mine, failure, missed_from);
    for (;;) {
      if (auto verdict = agreement_.poll()) return *verdict;
    }
  }

  std::unique_ptr<comm::Communicator> comm_ = comm::from_mpi(MPI_COMM_WORLD);
  int rank_ = comm_->rank();
  int last_ = comm_->size() - 1;
  std::shared_ptr<store::Pressure> pressure_ = std::make_shared<store::Pressure>();
  Agreement agreement_{*comm_, pressure_};
};

TEST_F(Ranks, GoWhereAllAreReady) {
  EXPECT_EQ(agree(Standing::ready).kind, Kind::go);
  EXPECT_EQ(agree(rank_ == last_ ? Standing::busy : Standing::ready).kind, Kind::again);
  EXPECT_EQ(agree(Standing::ready).kind, Kind::go);
}

TEST_F(Ranks, ThePressureOfTheHighestIsEveryones) {
  if (rank_ == last_) pressure_->raise_to(7);
  static_cast<void>(agree(Standing::ready));
  EXPECT_EQ(pressure_->mark(), 7U);
}

TEST_F(Ranks, WhoLeavesIsKnownToAll) {
  const auto verdict = agree(rank_ == last_ ? Standing::leaving : Standing::busy);
  EXPECT_EQ(verdict.kind, Kind::end);
  EXPECT_FALSE(verdict.error);
  EXPECT_EQ(verdict.left, last_);
}

TEST_F(Ranks, TheFirstMeetingThatAnyMissesIsKnownToAll) {
  const auto from = [&](std::uint64_t meeting) { return rank_ == last_ ? meeting : UINT64_MAX; };
  const auto standing = rank_ == last_ ? Standing::leaving : Standing::ready;
  EXPECT_EQ(agree(standing, std::nullopt, from(3)).missed_from, 3U);
  std::optional<Error> mine;
  if (rank_ == 0) mine.emplace(ErrorCode::corrupt, "mine", 0);
  EXPECT_EQ(agree(mine ? Standing::failed : standing, mine, from(4)).missed_from, 4U);
  EXPECT_EQ(agree(mine ? Standing::failed : Standing::ready, mine).missed_from, UINT64_MAX);
}

TEST_F(Ranks, TheLowestRanksErrorIsEveryones) {
  for (const std::size_t length : {0, 1, 100, 4096, 5000}) {
    std::optional<Error> mine;
    if (rank_ == last_ || rank_ == last_ - 1) {
      mine.emplace(ErrorCode::corrupt, std::string(length, static_cast<char>('a' + rank_)), rank_);
    }
    const auto verdict = agree(mine ? Standing::failed : Standing::leaving, mine);
    const int lowest = std::max(0, last_ - 1);
    ASSERT_EQ(verdict.kind, Kind::end);
    ASSERT_TRUE(verdict.error);
    EXPECT_EQ(verdict.error->code(), ErrorCode::corrupt);
    EXPECT_EQ(verdict.error->rank(), lowest);
    EXPECT_EQ(verdict.error->what(),
              std::string(std::min<std::size_t>(length, 4096), static_cast<char>('a' + lowest)));
  }
}

/// Every rank but the silent one takes part until it knows; what it knows then.
std::string call_roll(comm::Communicator& comm, int silent, int pausing, int asks) {
  std::string said;
  if (comm.rank() != silent) {
    RollCall roll_call(comm, 1);
    if (comm.rank() == asks) roll_call.ask(30);
    for (;;) {
      if (const auto error = roll_call.poll(comm.rank() == pausing)) {
        said = error->what();
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  comm.barrier();
  return said;
}

TEST_F(Ranks, TheSilentOneIsNamed) {
  for (const int asks : {0, last_}) {
    const int silent = last_ == asks ? last_ - 1 : last_;
    if (silent <= 0) continue;
    const auto fresh = comm_->duplicate();  // what the silent one has not read stays there
    const auto said = call_roll(*fresh, silent, -1, asks);
    if (rank_ == silent) continue;
    EXPECT_EQ(said, "no progress for 30 s (peer_timeout): rank " + std::to_string(silent) +
                        " does not answer: stopped, or out of reach");
  }
}

TEST_F(Ranks, ASilentFirstRankIsNamedByThoseWhoAsk) {
  const auto fresh = comm_->duplicate();
  if (rank_ > 0) {
    RollCall roll_call(*fresh, 1);
    roll_call.ask(30);
    std::optional<Error> error;
    while (!error) error = roll_call.poll(false);
    EXPECT_EQ(error->rank(), 0);
  }
  comm_->barrier();
}

TEST_F(Ranks, AConsumerThatPausesIsNamed) {
  const auto fresh = comm_->duplicate();
  const auto said = call_roll(*fresh, -1, last_, 0);
  EXPECT_EQ(said, "no progress for 30 s (peer_timeout): the consumer of rank " +
                      std::to_string(last_) + " takes no batch");
}

TEST_F(Ranks, WhereAllAnswerNobodyIsNamed) {
  const auto fresh = comm_->duplicate();
  EXPECT_NE(call_roll(*fresh, -1, -1, last_).find("all ranks answer"), std::string::npos);
}

}  // namespace
}  // namespace faro::exchange
