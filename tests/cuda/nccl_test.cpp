// What NCCL says where it cannot work: an error, not a hang. Its sums are tested with GradientSync.
#include "cuda/nccl.hpp"

#include <gtest/gtest.h>

#include "../support/emulated_device.hpp"
#include "../support/errors.hpp"
#include "cuda/backend.hpp"

namespace faro::cuda {
namespace {

TEST(Nccl, IsBuiltWithCudaAlone) {
  const auto id = [] { return make_collective_id(); };
  if (!probe().compiled) {
    EXPECT_SAYS(test::error_of(id, ErrorCode::device), "built without CUDA and NCCL");
    return;
  }
  EXPECT_NE(id(), id());  // needs no device
}

TEST(Nccl, WithoutADeviceIsAnError) {
  if (!probe().compiled) GTEST_SKIP() << probe().why;
  if (probe().usable) GTEST_SKIP() << "there is a device: " << probe().why;
  const test::EmulatedDevice device(0);
  const auto error = test::error_of(
      [&] { static_cast<void>(make_collective(device, make_collective_id(), 1, 0, 60)); });
  EXPECT_EQ(error.code(), ErrorCode::device) << error.what();
}

}  // namespace
}  // namespace faro::cuda
