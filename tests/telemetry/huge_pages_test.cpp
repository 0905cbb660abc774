#include "telemetry/huge_pages.hpp"

#include <gtest/gtest.h>

namespace faro::telemetry {
namespace {

constexpr const char* never = "always within_size advise [never] deny force\n";

std::string mounts(const std::string& options) {
  return "24 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
         "25 24 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw,size=4096k\n"
         "30 25 0:27 / /dev/shm rw,relatime shared:4 - tmpfs tmpfs rw,size=2g" +
         options + "\n";
}

TEST(HugePages, OfPrivateMemory) {
  EXPECT_TRUE(private_huge_pages_by("always [madvise] never\n").given);
  EXPECT_TRUE(private_huge_pages_by("[always] madvise never\n").given);
  EXPECT_FALSE(private_huge_pages_by("always madvise [never]\n").given);
  EXPECT_FALSE(private_huge_pages_by("").given);
}

TEST(HugePages, OfATmpfsAreItsMounts) {
  const auto given = [](const char* enabled, const std::string& options) {
    return shared_huge_pages_by(enabled, mounts(options), "/dev/shm").given;
  };
  EXPECT_FALSE(given(never, ""));
  EXPECT_FALSE(given(never, ",huge=never"));
  EXPECT_TRUE(given(never, ",huge=advise"));
  EXPECT_TRUE(given(never, ",huge=within_size,inode64"));
  // For memory without a file, which a shared window is not.
  EXPECT_FALSE(given("[always] within_size advise never deny force", ""));
  EXPECT_TRUE(given("always within_size advise never deny [force]", ""));
  EXPECT_FALSE(given("always within_size advise never [deny] force", ",huge=always"));
  EXPECT_FALSE(given("", ",huge=always"));
}

TEST(HugePages, TheMountThatHoldsTheDirectory) {
  const auto why = [](const std::string& text, const char* directory) {
    return shared_huge_pages_by(never, text, directory).why;
  };
  EXPECT_EQ(why(mounts(""), "/dev/shm"), "/dev/shm is mounted without huge=advise");
  EXPECT_EQ(why(mounts(",huge=advise"), "/dev/shm/job"), "/dev/shm is mounted with huge=advise");
  EXPECT_EQ(why(mounts(",huge=advise"), "/dev/shmem"), "/dev/shmem is no tmpfs");
  EXPECT_EQ(why(mounts(",huge=advise"), "/tmp"), "/tmp is no tmpfs");
  EXPECT_EQ(why(mounts("") + "31 25 0:28 / /dev/shm rw - tmpfs tmpfs rw,huge=always\n", "/dev/shm"),
            "/dev/shm is mounted with huge=always");
  EXPECT_EQ(why("", "/dev/shm"), "/dev/shm is no tmpfs");
}

TEST(HugePages, OfThisMachineAreTold) {
  EXPECT_FALSE(private_huge_pages().why.empty());
  EXPECT_FALSE(shared_huge_pages("/dev/shm").why.empty());
}

}  // namespace
}  // namespace faro::telemetry
