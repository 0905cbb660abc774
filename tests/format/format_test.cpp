// Raw records, splitting blocks, and choosing a format.
#include <gtest/gtest.h>

#include "../support/errors.hpp"
#include "base/error.hpp"
#include "tar_bytes.hpp"

namespace faro::test {
namespace {

TEST(Raw, RecordsAfterAHeader) {
  const auto raw = format::make_format({"raw", 5, 3});
  const std::string bytes = "HEADRabcdefghi";
  const auto extents = scan(*raw, bytes);
  ASSERT_EQ(extents.size(), 3U);
  EXPECT_EQ(extents[0].length, 8U);
  EXPECT_EQ(extents[2].offset, 11U);
  EXPECT_EQ(describe_all(*raw, bytes),
            "sample 0\nfield data 3\nabcsample 1\nfield data 3\ndefsample 2\nfield data 3\nghi");
  EXPECT_EQ(describe(*raw, "def", 41), "sample 41\nfield data 3\ndef");
  EXPECT_EQ(scan(*raw, "defghi", {false, true}).size(), 2U);
}

TEST(Raw, NoSamples) {
  EXPECT_TRUE(scan(*format::make_format({"raw", 5, 3}), "").empty());
  EXPECT_TRUE(scan(*format::make_format({"raw", 5, 3}), "HEADR").empty());
  EXPECT_TRUE(scan(*format::make_format({"raw", 0, 1}), "").empty());
}

TEST(Raw, Errors) {
  const auto raw = format::make_format({"raw", 5, 3});
  const auto text = error_of([&] { return scan(*raw, "HEADRabcde"); }, ErrorCode::format);
  EXPECT_NE(text.find("byte 8: 2 bytes after the last whole record of 3"), std::string::npos)
      << text;
  EXPECT_NE(error_of([&] { return scan(*raw, "HEA"); }, ErrorCode::format)
                .find("3 bytes where the header"),
            std::string::npos);
  static_cast<void>(
      error_of([&] { return describe(*raw, "HEADRabc", 0, false); }, ErrorCode::format));
  EXPECT_NE(error_of(
                [] {
                  return format::make_format({"raw", 5, 0});
                },
                ErrorCode::invalid_argument)
                .find("--raw-record is 0"),
            std::string::npos);
  const auto huge = format::make_format({"raw", UINT64_MAX, UINT64_MAX});
  static_cast<void>(error_of([&] { return scan(*huge, "x"); }, ErrorCode::format));
}

/// Every run of samples, taken as a block, splits into the samples that the whole has.
void expect_splits(const format::Format& format, const std::string& bytes) {
  const auto whole = scan(format, bytes);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (std::size_t j = i + 1; j <= whole.size(); ++j) {
      const std::uint64_t begin = whole[i].offset;
      const std::uint64_t end = whole[j - 1].offset + whole[j - 1].length;
      const auto block = std::string_view(bytes).substr(begin, end - begin);
      const format::Ends ends{i == 0, j == whole.size()};
      std::vector<format::Extent> extents(j - i);
      format::split(format, bytes_of(block), begin, ends, extents);
      for (std::size_t k = i; k < j; ++k) {
        EXPECT_EQ(begin + extents[k - i].offset, whole[k].offset);
        EXPECT_EQ(extents[k - i].length, whole[k].length);
      }
      extents.resize(j - i + 1);
      EXPECT_THROW(format::split(format, bytes_of(block), begin, ends, extents), Error);
      extents.resize(j - i - 1);
      EXPECT_THROW(format::split(format, bytes_of(block), begin, ends, extents), Error);
    }
  }
}

TEST(Split, Tar) {
  TarBytes t;
  t.add("readme", "x").pax(TarBytes::record("comment", "hi"), 'g').add("a.x", "1").add("a.y", "");
  t.add("d/", "", '5').add("n", std::string(300, 'k') + ".x", 'L').add("s", std::string(1000, '2'));
  t.pax(TarBytes::record("path", "p/q.Y"))
      .add("short", "3")
      .add("z.x", "4")
      .add("w.x", "")
      .add("nodot", "");
  expect_splits(*format::make_format({"tar"}), t.end().raw("rest").bytes);
}

TEST(Split, Raw) {
  expect_splits(*format::make_format({"raw", 5, 3}), "HEADRabcdefghijkl");
  expect_splits(*format::make_format({"raw", 0, 1}), "abcdef");
}

TEST(Formats, AreChosenByName) {
  EXPECT_EQ(format::resolve({}, "s3://b/x-000.tar").name, "tar");
  EXPECT_EQ(format::resolve({}, "https://b/x.tar?signature=abc").name, "tar");
  EXPECT_EQ(format::resolve({"raw", 1, 2}, "x.tar").name, "raw");
  const auto text =
      error_of([] { return format::resolve({}, "x.bin"); }, ErrorCode::invalid_argument);
  EXPECT_NE(text.find("--raw-record"), std::string::npos) << text;
  static_cast<void>(
      error_of([] { return format::make_format({"zip"}); }, ErrorCode::invalid_argument));
  EXPECT_EQ(format::listing_suffix({}), ".tar");
  EXPECT_EQ(format::listing_suffix({"raw", 0, 4}), "");
}

}  // namespace
}  // namespace faro::test
