// What objects are called, and which DATA stands for all of them.
#include "pack/names.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace faro::pack::test {
namespace {

TEST(Names, BaseNames) {
  EXPECT_EQ(base_name("file:///a/b?c#d.tar"), "b?c#d.tar");
  EXPECT_EQ(base_name("https://host/a/b.tar?X-Amz-Signature=1/2"), "b.tar");
  EXPECT_EQ(base_name("s3://bucket/b.tar"), "b.tar");
  EXPECT_EQ(error_of([] { (void)base_name("https://host/"); }).code(), ErrorCode::invalid_argument);
}

TEST(Names, PatternsWhereThereIsOne) {
  EXPECT_EQ(data_of({"s3://b/x.tar"}), "s3://b/x.tar");
  EXPECT_EQ(data_of({"s3://b/a-10.mp4", "s3://b/a-09.mp4", "s3://b/a-08.mp4"}),
            "s3://b/a-{08..10}.mp4");
  EXPECT_EQ(data_of({"s3://b/a-000.tar", "s3://b/a-001.tar"}), "s3://b/a-{000..001}.tar");
  EXPECT_EQ(data_of({"s3://b/7", "s3://b/8"}), "s3://b/{7..8}");
  EXPECT_EQ(data_of({"s3://b1/a-0.tar", "s3://b1/a-1.tar"}), "s3://b1/a-{0..1}.tar");
  for (const auto& gap : {std::vector<std::string>{"s3://b/p/a-0.tar", "s3://b/p/a-2.tar"},
                          {"s3://b/p/a-9.tar", "s3://b/p/a-10.tar"},
                          {"s3://b/p/a.tar", "s3://b/p/b.tar"},
                          {"s3://b/p/a-0-x.tar", "s3://b/p/a-1-y.tar"},
                          {"s3://b/p/a", "s3://b/p/aa"}}) {
    EXPECT_EQ(data_of(gap), "s3://b/p/") << gap.front();
  }
}

}  // namespace
}  // namespace faro::pack::test
