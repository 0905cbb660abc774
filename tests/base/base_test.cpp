#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "base/half.hpp"
#include "base/huge_pages.hpp"
#include "base/stream_copy.hpp"

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

TEST(Crc32c, CombinesAnyTwoPieces) {
  std::string text(70'000, '\0');
  std::minstd_rand random(1);
  for (auto& c : text) c = static_cast<char>(random() >> 8);
  const auto whole = crc32c(bytes(text));
  for (std::size_t cut = 0; cut <= text.size(); cut += cut < 300 ? 1 : 997) {
    const auto a = bytes(text).first(cut), b = bytes(text).subspan(cut);
    EXPECT_EQ(crc32c_combine(crc32c(a), crc32c(b), b.size()), whole) << cut;
  }
}

TEST(Crc32c, CombinesInAnyGrouping) {
  const auto a = crc32c(bytes("the quick")), b = crc32c(bytes(" brown")), c = crc32c(bytes(" fox"));
  const auto whole = crc32c(bytes("the quick brown fox"));
  EXPECT_EQ(crc32c_combine(crc32c_combine(a, b, 6), c, 4), whole);
  EXPECT_EQ(crc32c_combine(a, crc32c_combine(b, c, 4), 10), whole);
}

TEST(Crc32c, CombinesLengthsThatNoMemoryHolds) {
  // Twice 2^40 zeros behind a message are 2^41 of them, and a length's bits are all used.
  const auto message = crc32c(bytes("faro"));
  const auto zeros = [](unsigned k) {  // CRC of 2^k zeros, by doubling
    auto crc = crc32c(std::as_bytes(std::span("", 1)));
    for (unsigned i = 0; i < k; ++i) crc = crc32c_combine(crc, crc, std::uint64_t{1} << i);
    return crc;
  };
  const auto length = std::uint64_t{1} << 40;
  EXPECT_EQ(crc32c_combine(crc32c_combine(message, zeros(40), length), zeros(40), length),
            crc32c_combine(message, zeros(41), 2 * length));
  EXPECT_EQ(zeros(16), crc32c(bytes(std::string(65'536, '\0'))));
  EXPECT_NE(crc32c_combine(message, 0, std::uint64_t{1} << 63), crc32c_combine(message, 0, 0));
}

TEST(StreamCopy, CopiesWhatItIsGivenAndNoMore) {
  std::vector<std::byte> from(20'000), to(20'200);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + i / 256);
  for (const std::size_t size : {0U, 1U, 63U, 4095U, 4096U, 4159U, 4160U, 19'900U}) {
    for (const std::size_t at : {0U, 1U, 63U, 64U}) {
      std::fill(to.begin(), to.end(), std::byte{0xee});
      stream_copy(to.data() + at, from.data() + at / 2, size);
      EXPECT_TRUE(std::equal(from.begin() + at / 2, from.begin() + at / 2 + size, to.begin() + at));
      EXPECT_EQ(std::count(to.begin(), to.begin() + at, std::byte{0xee}), at);
      EXPECT_TRUE(std::all_of(to.begin() + at + size, to.end(),
                              [](auto byte) { return byte == std::byte{0xee}; }));
    }
  }
}

// Whether smaps says of the mapping that begins there that it asked for huge pages (flag "hg").
bool asked_for_huge_pages(const std::byte* at) {
  std::ifstream in("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    unsigned long first = 0;
    unsigned long last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      const auto address = reinterpret_cast<unsigned long>(at);
      inside = first <= address && address < last;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line.find(" hg") != std::string::npos;
    }
  }
  return false;
}

TEST(HugePages, AreAskedForWholePagesAlone) {
  if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage")) {
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  }
  constexpr std::size_t page = 4096, size = 6 << 20;
  auto* at = static_cast<std::byte*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(at, MAP_FAILED);
  huge_pages({});
  huge_pages({at + 1, page});  // no whole page
  EXPECT_FALSE(asked_for_huge_pages(at + page));
  huge_pages({at + 1, size - 2});
  EXPECT_FALSE(asked_for_huge_pages(at));
  EXPECT_TRUE(asked_for_huge_pages(at + page));
  EXPECT_FALSE(asked_for_huge_pages(at + size - page));
  munmap(at, size);
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

// Every half is a float, and comes back; what lies between two goes to the nearer one, in the
// middle to the even one.
TEST(Half, RoundsToNearestEven) {
  const auto check_all = [](auto to_f32, auto to_half, unsigned infinity) {
    for (unsigned bits = 0; bits < infinity; ++bits) {
      const auto half = static_cast<std::uint16_t>(bits);
      const float here = to_f32(half);
      ASSERT_EQ(to_half(here), half);
      ASSERT_EQ(to_half(-here), half | 0x8000U);
      if (bits + 1 == infinity) break;
      const float above = to_f32(static_cast<std::uint16_t>(bits + 1));
      ASSERT_LT(here, above);
      const float middle = here + (above - here) / 2;
      ASSERT_EQ(to_half(middle), bits % 2 == 0 ? bits : bits + 1) << middle;
      ASSERT_EQ(to_half(std::nextafter(middle, 0.0F)), bits) << middle;
      ASSERT_EQ(to_half(std::nextafter(middle, above)), bits + 1) << middle;
    }
    const float inf = std::numeric_limits<float>::infinity();
    EXPECT_EQ(to_f32(static_cast<std::uint16_t>(infinity)), inf);
    EXPECT_EQ(to_half(inf), infinity);
    EXPECT_TRUE(std::isnan(to_f32(to_half(std::nanf("")))));
    EXPECT_TRUE(std::isnan(to_f32(to_half(std::bit_cast<float>(0x7f800001U)))));
  };
  check_all(f16_to_f32, f32_to_f16, 0x7c00);
  check_all(bf16_to_f32, f32_to_bf16, 0x7f80);
  EXPECT_EQ(f16_to_f32(0x3c00), 1.0F);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24F);
  EXPECT_EQ(f32_to_f16(65519.0F), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7c00);
  EXPECT_EQ(f32_to_f16(1e-8F), 0);
  EXPECT_EQ(bf16_to_f32(0x3f80), 1.0F);
}

TEST(HumanBytes, DecimalUnits) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(140'131'840), "140.13 MB");
}

}  // namespace
}  // namespace faro
