// The backend starts on any machine and says what it fell back to.
#include "cuda/backend.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace faro::cuda
