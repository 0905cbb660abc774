#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/crc32c.hpp"
#include "base/error.hpp"

namespace faro {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(Crc32c, MatchesThePublishedCheckValue) {
  EXPECT_EQ(crc32c(bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c({}), 0U);
}

TEST(Crc32c, ContinuesOverPieces) {
  const std::string text = "the quick brown fox";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const auto first = crc32c(bytes(std::string_view(text).substr(0, cut)));
    EXPECT_EQ(crc32c(bytes(std::string_view(text).substr(cut)), first), crc32c(bytes(text)));
  }
}

TEST(Checked, OverflowIsAnError) {
  EXPECT_EQ(checked_add(2, 3), 5U);
  EXPECT_EQ(checked_mul(2, 3), 6U);
  EXPECT_THROW((void)checked_add(UINT64_MAX, 1), Error);
  EXPECT_THROW((void)checked_mul(UINT64_MAX, 2), Error);
  EXPECT_THROW((void)narrow<std::int32_t>(std::uint64_t{1} << 31), Error);
  EXPECT_THROW((void)narrow<std::uint32_t>(-1), Error);
}

TEST(Error, EveryCodeHasItsName) {
  EXPECT_EQ(to_string(ErrorCode::corrupt), "corrupt");
  for (int code = 1; code <= 13; ++code) {
    EXPECT_NE(to_string(static_cast<ErrorCode>(code)), "internal") << code;
  }
}

TEST(HumanBytes, DecimalUnits) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(140'131'840), "140.13 MB");
}

}  // namespace
}  // namespace faro
