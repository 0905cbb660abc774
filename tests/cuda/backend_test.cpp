// The backend starts on any machine and says what it fell back to.
#include "cuda/backend.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "../support/errors.hpp"
#include "cuda/device.hpp"

namespace faro::cuda {
namespace {

TEST(CudaBackend, IsTheOneThatWasConfigured) {
  EXPECT_EQ(probe().compiled, EXPECT_COMPILED == 1);
}

TEST(CudaBackend, SaysWhyItIsNotUsable) {
  const Backend backend = probe();
  std::printf("cuda: %s\n", backend.why.c_str());
  EXPECT_FALSE(backend.why.empty());
  EXPECT_EQ(backend.usable, backend.devices > 0);
  EXPECT_EQ(backend.bus_ids.size(), static_cast<std::size_t>(backend.devices));
  EXPECT_EQ(backend.names.size(), backend.bus_ids.size());
  if (!backend.usable) {
    EXPECT_NE(backend.why.find("host memory"), std::string::npos) << backend.why;
  }
  if (!backend.compiled) {
    EXPECT_FALSE(backend.usable);
    EXPECT_NE(backend.why.find("built without CUDA"), std::string::npos) << backend.why;
  }
}

TEST(CudaBackend, AnswersTheSameTwice) {
  const Backend first = probe();
  const Backend second = probe();
  EXPECT_EQ(first.usable, second.usable);
  EXPECT_EQ(first.devices, second.devices);
  EXPECT_EQ(first.why, second.why);
}

TEST(CudaBackend, ADeviceThatIsNotThereIsAnErrorThatSaysWhy) {
  const Backend backend = probe();
  const auto text =
      test::error_of([&] { static_cast<void>(open_device(backend.devices)); }, ErrorCode::device);
  EXPECT_SAYS(text, "no CUDA device");
  if (!backend.usable) {
    EXPECT_SAYS(text, backend.why);
  }
}

/// What a device does of the seam without a kernel.
TEST(CudaBackend, ADeviceCopiesInOrder) {
  const Backend backend = probe();
  if (!backend.usable) GTEST_SKIP() << "no device: " << backend.why;
  const auto device = open_device(0);
  constexpr std::uint64_t bytes = 1 << 20;
  const auto from = device->allocate_pinned(bytes);
  const auto there = device->allocate(bytes);
  const auto back = device->allocate_pinned(bytes);
  const auto first = device->make_stream();
  const auto second = device->make_stream();
  const auto event = device->make_event();
  const auto end = device->make_event();
  std::ranges::fill(from->bytes(), std::byte{7});
  first->zero(there->bytes().data(), bytes);
  first->copy(there->bytes().data(), from->bytes().data(), bytes / 2);
  first->record(*event);
  second->wait(*event);
  second->copy(back->bytes().data(), there->bytes().data(), bytes);
  second->record(*end);
  end->wait();
  EXPECT_TRUE(end->done());
  EXPECT_EQ(std::ranges::count(back->bytes(), std::byte{7}), bytes / 2);
  EXPECT_EQ(std::ranges::count(back->bytes(), std::byte{0}), bytes / 2);
}

}  // namespace
}  // namespace faro::cuda
