// What goes wrong in a GradientSync is the same error on all ranks, and no wait without end.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "../support/errors.hpp"
#include "places.hpp"

namespace faro::sync {
namespace {

using test::error_of;

void ready_all(Sync& sync, std::size_t parameters) {
  for (std::size_t p = parameters; p-- > 0;) sync.ready(p);
}

class GradientSyncFailureIn : public InEach {
 protected:
  const int last_ = job_size() - 1;
  Model model_{{3000, 3000, 100}};
  GradientSyncOptions options_ = Model::small();
};

INSTANTIATE_TEST_SUITE_P(Places, GradientSyncFailureIn, testing::ValuesIn(Where::all()),
                         where_name);

TEST_P(GradientSyncFailureIn, AParameterThatIsReadyTwiceIsNamedOnAllRanks) {
  Sync sync(GetParam(), model_.parameters(), options_);
  ready_all(sync, 3);
  sync.wait();
  sync.ready(1);
  if (job_rank() == last_) {
    EXPECT_SAYS(error_of([&] { sync.ready(1); }, ErrorCode::invalid_argument),
                "'p1' is ready twice in step 1");
  } else {
    sync.ready(2);
    sync.ready(0);
  }
  const auto error = error_of([&] { sync.wait(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.rank(), last_);
  EXPECT_SAYS(error.what(), "'p1' is ready twice in step 1");
  expect_same(error);
  // There is no way back.
  EXPECT_STREQ(error_of([&] { sync.ready(0); }).what(), error.what());
  EXPECT_STREQ(error_of([&] { sync.wait(); }).what(), error.what());
}

TEST_P(GradientSyncFailureIn, AParameterThatDoesNotExist) {
  Sync sync(GetParam(), model_.parameters(), options_);
  if (job_rank() == 0) {
    EXPECT_SAYS(error_of([&] { sync.ready(3); }, ErrorCode::invalid_argument),
                "there is no parameter 3: 3 are registered");
  }
  expect_same(error_of([&] { sync.wait(); }));
}

TEST_P(GradientSyncFailureIn, ParametersThatAreNeverReadyAreNamedOnAllRanks) {
  Sync sync(GetParam(), model_.parameters(), options_);
  for (const std::size_t p : {2, 1, 0}) {
    if (job_rank() != last_ || p == 1) sync.ready(p);
  }
  const auto error = error_of([&] { sync.wait(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.rank(), last_);
  EXPECT_SAYS(error.what(), "2 of 3 parameters are not ready: 'p0', 'p2'");
  expect_same(error);
}

TEST_P(GradientSyncFailureIn, ARanksOwnErrorIsThrownOnAll) {
  Sync sync(GetParam(), model_.parameters(), options_);
  const Error mine(ErrorCode::io, "the checkpoint's disk is full: " + std::string(2000, 'x'));
  if (job_rank() == last_) {
    sync.ready(2);
    sync.fail(mine);
    sync.fail(Error(ErrorCode::internal, "a later one"));
  } else {
    ready_all(sync, 3);
  }
  const auto error = error_of([&] { sync.wait(); });
  EXPECT_EQ(error.code(), ErrorCode::io);
  EXPECT_EQ(error.rank(), last_);
  EXPECT_SAYS(error.what(), "the checkpoint's disk is full: xxx");
  expect_same(error);
}

TEST_P(GradientSyncFailureIn, AnErrorAfterTheLastReadyComesInThisStepOrTheNext) {
  Sync sync(GetParam(), model_.parameters(), options_);
  ready_all(sync, 3);
  if (job_rank() == last_) sync.fail(Error(ErrorCode::io, "too late for this step"));
  const auto error = error_of([&] {
    for (int step = 0; step < 2; ++step) {
      sync.wait();
      ready_all(sync, 3);
    }
  });
  EXPECT_EQ(error.code(), ErrorCode::io);
  expect_same(error);
}

TEST_P(GradientSyncFailureIn, OfSeveralErrorsTheLowestRanksWins) {
  Sync sync(GetParam(), model_.parameters(), options_);
  sync.fail(Error(ErrorCode::io, "rank " + std::to_string(job_rank())));
  EXPECT_STREQ(error_of([&] { sync.wait(); }).what(), "rank 0");
}

TEST_P(GradientSyncFailureIn, ARankThatLeavesInMidStepEndsItForAll) {
  {
    Sync sync(GetParam(), model_.parameters(), options_);
    if (job_rank() == last_) {
      sync.ready(2);
    } else {
      ready_all(sync, 3);
      const auto error = error_of([&] { sync.wait(); });
      EXPECT_EQ(error.code(), ErrorCode::stopped);
      EXPECT_EQ(error.rank(), last_);
      EXPECT_SAYS(error.what(), "left in step 0");
    }
  }
  // What is left is fit for a new one.
  Sync sync(GetParam(), model_.parameters(), options_);
  ready_all(sync, 3);
  sync.wait();
}

TEST_P(GradientSyncFailureIn, ARankThatLeavesBetweenStepsEndsTheNextForAll) {
  Sync sync(GetParam(), model_.parameters(), options_);
  ready_all(sync, 3);
  if (job_rank() == last_) return;  // without wait(): the step itself ends well
  sync.wait();
  ready_all(sync, 3);
  EXPECT_EQ(error_of([&] { sync.wait(); }).code(), ErrorCode::stopped);
}

TEST_P(GradientSyncFailureIn, ASilentRankEndsTheOthersWait) {
  if (job_size() == 1) GTEST_SKIP() << "needs a peer that fails: run it on 2 ranks or more";
  options_.peer_timeout = 0.3;
  const auto start = std::chrono::steady_clock::now();
  {
    Sync sync(GetParam(), model_.parameters(), options_);
    if (job_rank() == last_) {
      std::this_thread::sleep_for(std::chrono::seconds(2));
    } else {
      ready_all(sync, 3);
    }
    EXPECT_SAYS(error_of([&] { sync.wait(); }, ErrorCode::peer), "a rank is silent");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST_P(GradientSyncFailureIn, ABroadcastThatNotAllCallEnds) {
  if (job_size() == 1) GTEST_SKIP() << "needs a peer that fails: run it on 2 ranks or more";
  options_.peer_timeout = 0.3;
  std::vector<int> values(10);
  {
    Sync sync(GetParam(), model_.parameters(), options_);
    if (job_rank() != last_) {
      EXPECT_SAYS(error_of([&] { sync.broadcast(std::span(values)); }, ErrorCode::peer),
                  "broadcast()");
    }
  }
  MPI_Barrier(MPI_COMM_WORLD);
}

TEST_P(GradientSyncFailureIn, BroadcastsMustAgree) {
  if (job_size() == 1)
    GTEST_SKIP() << "needs a peer that says something else: run it on 2 ranks or more";
  Sync sync(GetParam(), model_.parameters(), options_);
  std::vector<int> values(10);
  const auto mine = std::span(values).first(job_rank() == last_ ? 9 : 10);
  EXPECT_SAYS(error_of([&] { sync.broadcast(mine); }, ErrorCode::invalid_argument),
              "36 to 40 bytes");
  EXPECT_SAYS(
      error_of([&] { sync.broadcast(std::span(values), job_rank()); }, ErrorCode::invalid_argument),
      "all ranks must give the same");
  sync.broadcast(std::span(values), 0);
}

TEST_P(GradientSyncFailureIn, CallsInTheMiddleOfAStep) {
  Sync sync(GetParam(), model_.parameters(), options_);
  sync.ready(0);
  const auto says = [](const auto& work) {
    EXPECT_SAYS(error_of(work, ErrorCode::invalid_argument), "in the middle of step 0");
  };
  says([&] { sync.set_weight(1); });
  says([&] { (void)sync.no_sync(); });
  std::vector<int> values(1);
  says([&] { sync.broadcast(std::span(values)); });
  EXPECT_SAYS(error_of([&] { (void)sync.gradient(0); }, ErrorCode::invalid_argument),
              "no parameter 0 lives in a bucket");
  sync.ready(1);
  sync.ready(2);
  sync.wait();
}

TEST_P(GradientSyncFailureIn, DifferentRegistrationsAreFoundAtTheStart) {
  if (job_size() == 1)
    GTEST_SKIP() << "needs a peer that says something else: run it on 2 ranks or more";
  const bool odd = job_rank() == last_;
  const auto refused = [&](const std::vector<GradientParameter>& parameters,
                           const GradientSyncOptions& options, const std::string& part) {
    const auto error = error_of([&] { Sync sync(GetParam(), parameters, options); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_SAYS(error.what(), part);
    expect_same(error);
  };
  const auto good = model_.parameters();
  auto other = good;
  if (odd) other[1].elements = 2999;
  refused(other, options_,
          "rank 0 'p1' of 3000 f32, rank " + std::to_string(last_) + " 'p1' of 2999 f32");
  other = good;
  if (odd) other[1].type = GradientType::bf16;
  refused(other, options_, "'p1' of 3000 bf16");
  other = good;
  if (odd) std::swap(other[0], other[1]);
  refused(other, options_, "rank 0 'p0' of 3000 f32");
  other = good;
  if (odd) other.pop_back();
  refused(other, options_, "rank 0 3 parameters");
  auto options = options_;
  if (odd) options.bucket_bytes += 1;
  refused(good, options, "8001 bytes");
  options = options_;
  if (odd) options.reduction = Reduction::sum;
  refused(good, options, "their mean");
}

TEST_P(GradientSyncFailureIn, AbsurdRegistrations) {
  const auto refused = [&](const std::vector<GradientParameter>& parameters,
                           const std::string& part) {
    EXPECT_SAYS(
        error_of([&] { Sync sync(GetParam(), parameters, options_); }, ErrorCode::invalid_argument),
        part);
  };
  float value = 0;
  refused({}, "no parameter is registered");
  refused({{"w", &value, 0, {}}}, "'w' has 0 elements");
  refused({{"w", &value, 1, {}}, {"w", &value, 1, {}}}, "two parameters are called 'w'");
  refused({{"", &value, 1, {}}}, "without a name");
  refused({{"w", nullptr, 1, GradientType::f16}}, "'w' of f16 needs a place of its own");
  options_.device = -2;
  refused({{"w", &value, 1, {}}}, "device -2 is neither");
  options_.device = GradientSyncOptions{}.device;
  options_.bucket_bytes = 0;
  refused({{"w", &value, 1, {}}}, "above 0");
}

}  // namespace
}  // namespace faro::sync
