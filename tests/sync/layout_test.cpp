// Which bucket each parameter is in.
#include <gtest/gtest.h>

#include <random>

#include "sync/sync.hpp"

namespace faro::sync {
namespace {

GradientParameter parameter(std::uint64_t elements) {
  return {"p", nullptr, elements, {}};
}

TEST(Layout, ReverseOrderFirstBucketSmallerLargeOnesAlone) {
  GradientSyncOptions options;
  options.first_bucket_bytes = 64 * 4;
  options.bucket_bytes = 256 * 4;
  const std::vector parameters{parameter(1000), parameter(100), parameter(128),
                               parameter(64),   parameter(16),  parameter(48)};
  const auto layout = lay_out(parameters, options);
  ASSERT_EQ(layout.buckets.size(), 4U);
  EXPECT_EQ(layout.buckets[0].parameters, (std::vector<std::size_t>{5, 4}));  // full to the brim
  EXPECT_EQ(layout.buckets[1].parameters, (std::vector<std::size_t>{3, 2}));
  EXPECT_EQ(layout.buckets[2].parameters, (std::vector<std::size_t>{1}));
  EXPECT_EQ(layout.buckets[3].parameters, (std::vector<std::size_t>{0}));
}

TEST(Layout, EveryParameterHasAPlaceOfItsOwn) {
  std::mt19937 random(3);
  for (int run = 0; run < 200; ++run) {
    GradientSyncOptions options;
    options.first_bucket_bytes = 1 + random() % 3000;
    options.bucket_bytes = 1 + random() % 9000;
    std::vector<GradientParameter> parameters(1 + random() % 30);
    for (auto& p : parameters) p.elements = 1 + random() % 700;
    const auto layout = lay_out(parameters, options);
    std::size_t next = parameters.size();
    for (std::size_t b = 0; b < layout.buckets.size(); ++b) {
      const auto& bucket = layout.buckets[b];
      std::uint64_t end = 0;
      for (const auto p : bucket.parameters) {
        EXPECT_EQ(p, --next);
        EXPECT_EQ(layout.places[p].bucket, b);
        EXPECT_EQ(layout.places[p].offset % 16, 0U);
        EXPECT_GE(layout.places[p].offset, end);
        end = layout.places[p].offset + parameters[p].elements;
      }
      EXPECT_LE(end, bucket.elements);
      const auto limit = b == 0 ? options.first_bucket_bytes : options.bucket_bytes;
      EXPECT_TRUE(bucket.parameters.size() == 1 || bucket.elements * sizeof(float) <= limit);
    }
    EXPECT_EQ(next, 0U);
  }
}

}  // namespace
}  // namespace faro::sync
