// What is a GradientSync's own on a device, and what goes wrong there: the same error on all ranks.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <thread>

#include "../support/errors.hpp"
#include "comm/mpi.hpp"
#include "cuda/claim.hpp"
#include "places.hpp"

namespace faro::sync {
namespace {

using test::error_of;

class GradientSyncOnDevice : public InEach {
 protected:
  GradientSyncOnDevice() { options_.peer_timeout = 1000; }  // no error comes of it

  void expect_error(const Error& error, ErrorCode code, int rank, const std::string& part) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_EQ(error.rank(), rank);
    EXPECT_SAYS(error.what(), part);
  }

  /// What a Session on an emulated device is refused with. \param prepare told of the device
  Error refused(const std::function<void(test::EmulatedDevice&)>& prepare) {
    auto device = std::make_shared<test::EmulatedDevice>(GetParam().seed);
    auto collective =
        std::make_unique<test::EmulatedCollective>(*device, comm::from_mpi(MPI_COMM_WORLD));
    prepare(*device);
    options_.device = 0;
    return error_of([&] {
      const Session session(model_.parameters(), options_, comm::from_mpi(MPI_COMM_WORLD),
                            [&](auto all, const auto& layout, const auto& how, auto& ranks) {
                              std::unique_ptr<Backend> backend;
                              comm::together(ranks, [&] {
                                backend = make_device_backend(all, layout, how, device,
                                                              std::move(collective));
                              });
                              return backend;
                            });
    });
  }

  const int last_ = job_size() - 1;
  Model model_{{3000, 3000, 100}};
  GradientSyncOptions options_ = Model::small();
};

INSTANTIATE_TEST_SUITE_P(Places, GradientSyncOnDevice, testing::ValuesIn(Where::emulations()),
                         where_name);

TEST_P(GradientSyncOnDevice, TakesFourBytesAnElementAndGivesAllBack) {
  auto options = options_;
  options.bucket_bytes = options.first_bucket_bytes = 1U << 20;
  Sync sync(GetParam(), {{"w", nullptr, 16'000, {}}}, options);
  EXPECT_EQ(sync.emulated().device_bytes(), 4 * (16'000 + Note::elements));
  EXPECT_SAYS(sync.describe(), "1 buckets by emulated NCCL on emulated device 0");
}

TEST_P(GradientSyncOnDevice, AnErrorOfTheCollectiveIsThrownOnAll) {
  Sync sync(GetParam(), model_.parameters(), options_);
  const auto aborted = sync.collective().aborted();
  const auto ready_all = [&] {
    for (const std::size_t p : {2, 1, 0}) sync.ready(p);
  };
  ready_all();
  sync.wait();
  EXPECT_FALSE(*aborted);
  MPI_Barrier(MPI_COMM_WORLD);  // else it may reach those who are still in the first wait()
  const Error mine(ErrorCode::device, "a link is down");
  if (job_rank() == last_) sync.collective().fail(mine);
  const auto error = error_of([&] {
    ready_all();
    sync.wait();
  });
  expect_error(error, ErrorCode::device, last_, "a link is down");
  EXPECT_TRUE(*aborted);
  EXPECT_STREQ(error_of([&] { sync.ready(0); }).what(), error.what());
}

TEST_P(GradientSyncOnDevice, OfErrorsOnAllOneIsThrown) {
  Sync sync(GetParam(), model_.parameters(), options_);
  sync.collective().fail(Error(ErrorCode::device, "rank " + std::to_string(job_rank())));
  try {  // which may know of this rank's own by now
    for (const std::size_t p : {2, 1, 0}) sync.ready(p);
  } catch (const Error&) {
  }
  const auto error = error_of([&] { sync.wait(); });
  expect_error(error, ErrorCode::device, error.rank(), "rank " + std::to_string(error.rank()));
  expect_same(error);
}

// A kernel of ours, or of the program's before it: CUDA fails every call after it.
TEST_P(GradientSyncOnDevice, ADeviceThatFailsIsToldToAll) {
  for (const int works : {1, 4, 9, 20}) {
    Sync sync(GetParam(), model_.parameters(), options_);
    const auto aborted = sync.collective().aborted();
    for (const std::size_t p : {2, 1, 0}) sync.upload(p);
    sync.emulated().synchronise();
    if (job_rank() == last_) {
      sync.emulated().fail_work(static_cast<std::uint64_t>(works));
    }
    const auto error = error_of([&] {
      for (int step = 0; step < 10; ++step) {
        try {
          for (const std::size_t p : {2, 1, 0}) sync.session().ready(p);
        } catch (const Error& own) {
          EXPECT_EQ(own.code(), ErrorCode::device) << own.what();
        }
        sync.session().wait();
      }
    });
    expect_error(error, ErrorCode::device, last_, "illegal memory access");
    EXPECT_TRUE(*aborted);
  }
}

TEST_P(GradientSyncOnDevice, WhoComesLaterHearsOfItToo) {
  Sync sync(GetParam(), model_.parameters(), options_);
  if (job_rank() == last_) sync.collective().fail(Error(ErrorCode::device, "a link is down"));
  if (job_rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const auto error = error_of([&] {
    for (const std::size_t p : {2, 1, 0}) sync.ready(p);
    sync.wait();
  });
  expect_error(error, ErrorCode::device, last_, "a link is down");
}

TEST_P(GradientSyncOnDevice, ABroadcastThatFailsEnds) {
  options_.peer_timeout = 1;  // of those whose part of NCCL is well
  Sync sync(GetParam(), model_.parameters(), options_);
  if (job_rank() == last_) sync.collective().fail(Error(ErrorCode::device, "a link is down"));
  std::vector<int> values(1000);
  const auto error = error_of([&] { sync.broadcast(std::span(values)); });
  expect_same(error);
  EXPECT_STREQ(error_of([&] { sync.wait(); }).what(), error.what());
}

TEST_P(GradientSyncOnDevice, BroadcastsTakeTheHostsMemoryTooButNotBoth) {
  Sync sync(GetParam(), model_.parameters(), options_);
  std::vector<int> values(1001, job_rank());
  sync.session().broadcast(std::as_writable_bytes(std::span(values)), last_);
  EXPECT_EQ(values, std::vector<int>(1001, last_));
  if (job_size() == 1) return;
  const auto there = sync.emulated().allocate(values.size() * sizeof(int));
  const auto mixed = [&] {
    sync.session().broadcast(
        job_rank() == 0 ? there->bytes() : std::as_writable_bytes(std::span(values)), 0);
  };
  EXPECT_SAYS(error_of(mixed, ErrorCode::invalid_argument), "host memory on one rank and device");
}

TEST_P(GradientSyncOnDevice, NoMemoryOnOneRankIsAnErrorOnAll) {
  const auto error = refused([&](auto& device) {
    if (job_rank() == last_) device.fail_allocation(2);
  });
  expect_error(error, ErrorCode::memory, last_, "no memory left");
}

TEST_P(GradientSyncOnDevice, WhatMpiBringsSamplesToIsNotSharedWithIt) {
  std::optional<cuda::Claim> mpi;
  const auto error = refused([&](auto& device) {
    if (job_rank() == last_) mpi.emplace(device.number(), cuda::Claim::By::mpi);
  });
  expect_error(error, ErrorCode::device, last_, "give arrivals = host");
}

// What a program sees that asks for a device where there is none, or not on all ranks.
TEST(GradientSyncDevice, ThatIsNotThereIsTheSameErrorOnAll) {
  std::vector<float> gradient(10);
  GradientSyncOptions options;
  options.device = 1000;
  const auto error = error_of([&] {
    const GradientSync sync({{"w", gradient.data(), gradient.size(), {}}}, options);
  });
  EXPECT_EQ(error.code(), ErrorCode::device) << error.what();
  EXPECT_EQ(error.rank(), 0);
  EXPECT_SAYS(error.what(), "no CUDA device 1000: ");
}

TEST(GradientSyncDevice, OnSomeRanksAloneIsRefusedOnAll) {
  if (job_size() == 1) GTEST_SKIP() << "needs a peer without a device: run it on 2 ranks or more";
  std::vector<float> gradient(10);
  GradientSyncOptions options;
  options.device = job_rank() == 0 ? 0 : -1;
  EXPECT_SAYS(error_of(
                  [&] {
                    const GradientSync sync({{"w", gradient.data(), gradient.size(), {}}}, options);
                  },
                  ErrorCode::invalid_argument),
              "bytes of device memory, rank 1 1 parameters");
}

TEST(GradientSyncDevice, AStreamNeedsADevice) {
  std::vector<float> gradient(10);
  GradientSyncOptions options;
  options.stream = &options;
  EXPECT_SAYS(error_of(
                  [&] {
                    const GradientSync sync({{"w", gradient.data(), gradient.size(), {}}}, options);
                  },
                  ErrorCode::invalid_argument),
              "there is a stream, but no device");
}

}  // namespace
}  // namespace faro::sync
