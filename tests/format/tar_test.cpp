// Tar files made by hand: WebDataset's grouping, header variants, and every way to be wrong.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "../support/errors.hpp"
#include "base/error.hpp"
#include "tar_bytes.hpp"

namespace faro::test {
namespace {

const auto tar = format::make_format({"tar"});

std::string scan_error(std::string_view bytes, format::Ends ends = {}, std::uint64_t offset = 0) {
  return error_of([&] { static_cast<void>(scan(*tar, bytes, ends, offset)); }, ErrorCode::format);
}

TEST(Tar, GroupsByPathUpToTheFirstDot) {
  TarBytes t;
  t.add("a/x.png", "1").add("a/x.cls", "2").add("b/x.cls", "3").add("b/y.seg.PNG", "4").end();
  EXPECT_EQ(describe_all(*tar, t.bytes),
            "sample a/x\nfield png 1\n1field cls 1\n2sample b/x\nfield cls 1\n3"
            "sample b/y\nfield seg.png 1\n4");
}

TEST(Tar, DotsInDirectoriesAndOddNames) {
  TarBytes t;
  t.add("v1.0/./x.a", "1")
      .add("v1.0/./x.", "2")
      .add("../y.b", "")
      .add("\xc3\xbc.\xc3\x9c", "3")
      .end();
  EXPECT_EQ(describe_all(*tar, t.bytes),
            "sample v1.0/./x\nfield a 1\n1field  1\n2sample ../y\nfield b 0\n"
            "sample \xc3\xbc\nfield \xc3\x9c 1\n3");
}

TEST(Tar, PassesOverWhatIsNoField) {
  TarBytes t;
  t.add("readme", "x").add(".hidden.png", "x").add("a.png", "1").add("d.d/", "", '5');
  t.raw(TarBytes::header("l.png", 7, '1')).raw(TarBytes::header("s.png", 0, '2'));  // no payload
  t.add("a.cls", "2").add("nodot", "x").add("V.ol", "x", 'V').add("b.png", "3", '7');
  t.add("old.dir/", "", '\0').add("c.png", "4", '\0').add("dir/.b.png", "x").end();
  const auto extents = scan(*tar, t.bytes);
  ASSERT_EQ(extents.size(), 3U);
  EXPECT_EQ(extents[0].offset, 0U);
  EXPECT_EQ(extents[1].offset, 512U * 15);
  EXPECT_EQ(extents[2].offset + extents[2].length, t.bytes.size());
  EXPECT_EQ(
      describe_all(*tar, t.bytes),
      "sample a\nfield png 1\n1field cls 1\n2sample b\nfield png 1\n3sample c\nfield png 1\n4");
}

std::vector<format::Extent> split(std::string_view bytes, std::size_t samples) {
  std::vector<format::Extent> extents(samples, {9, 9, {{9, 9}}});
  format::split(*tar, bytes_of(bytes), 0, {}, extents);
  return extents;
}

TEST(Tar, OutlinesTellWhatTheBytesTell) {
  TarBytes t;
  t.add("readme", "x").add("a.png", std::string(700, 'p')).add("d.d/", "", '5').add("a.cls", "2");
  t.add("nodot", "x").add("b.x.PNG", "1");  // an outline has no place for another case
  t.add("c.a", "1").add("c.b", "").add("c.c", "3").add("d.", "").add("e.png", "1").end();
  const auto extents = split(t.bytes, 5);
  std::string outlined;
  for (const auto& extent : extents) {
    const auto sample = std::string_view(t.bytes).substr(extent.offset, extent.length);
    outlined += expect_same_by_outline(*tar, sample, extent.outline) == 1 ? 'y' : 'n';
  }
  EXPECT_EQ(outlined, "ynnyy");
}

TEST(Tar, NamesOutsideTheirHeadersHaveNoOutline) {
  TarBytes t;
  t.pax(TarBytes::record("path", "p.png")).add("short", "1");
  t.pax(TarBytes::record("mtime", "1.5")).add("q.png", "2");
  t.add("././@LongLink", std::string(150, 'r') + ".png", 'L').add("r", "3");
  t.pax(TarBytes::record("size", "3")).add("s.png", "123").end();
  const auto extents = split(t.bytes, 4);
  EXPECT_TRUE(extents[0].outline.none());
  EXPECT_FALSE(extents[1].outline.none());
  EXPECT_TRUE(extents[2].outline.none());
  EXPECT_FALSE(extents[3].outline.none());
  for (const auto& extent : extents) {
    expect_same_by_outline(*tar, std::string_view(t.bytes).substr(extent.offset, extent.length),
                           extent.outline);
  }
}

TEST(Tar, NoSamples) {
  EXPECT_TRUE(scan(*tar, TarBytes().end().bytes).empty());
  EXPECT_TRUE(scan(*tar, TarBytes().add("readme", "x").add("d/", "", '5').end().bytes).empty());
  EXPECT_TRUE(scan(*tar, TarBytes().pax("", 'g').end().bytes).empty());
}

TEST(Tar, WhatFollowsTheEndMarkerIsTheLastSamples) {
  TarBytes t;
  t.add("a.x", "1").add("b.x", "2").end().raw("anything at all");
  const auto extents = scan(*tar, t.bytes);
  ASSERT_EQ(extents.size(), 2U);
  EXPECT_EQ(extents[1].length, t.bytes.size() - 1024);
}

TEST(Tar, ExtensionHeadersBelongToTheirMember) {
  TarBytes t;
  t.add("a.x", "1").add("n", std::string(120, 'k') + ".x", 'L').add("short", "2");
  t.add("n", "target", 'K')
      .pax(TarBytes::record("path", "p/q.Y") + TarBytes::record("mtime", "1.5"));
  t.add("short", "3").pax(TarBytes::record("comment", "hi"), 'g').add("z.x", "4").end();
  const auto extents = scan(*tar, t.bytes);
  ASSERT_EQ(extents.size(), 4U);
  EXPECT_EQ(extents[1].offset, 1024U);
  EXPECT_EQ(extents[2].offset, 1024U + 2048);
  EXPECT_EQ(extents[3].offset, 1024U + 2048 + 3072);
  EXPECT_EQ(describe_all(*tar, t.bytes), "sample a\nfield x 1\n1sample " + std::string(120, 'k') +
                                             "\nfield x 1\n2sample p/q\nfield y 1\n3"
                                             "sample z\nfield x 1\n4");
}

TEST(Tar, UstarPrefix) {
  auto h = TarBytes::header("deep/x.png", 1);
  std::memcpy(h.data() + 345, "some/dir", 8);
  TarBytes::checksum(h);
  TarBytes t;
  t.raw(h).raw("1" + std::string(511, '\0')).end();
  EXPECT_EQ(describe_all(*tar, t.bytes), "sample some/dir/deep/x\nfield png 1\n1");
  // In GNU's own headers there are times in its place.
  std::memcpy(h.data() + 257, "ustar  ", 8);
  TarBytes::checksum(h);
  t.bytes = h + "1" + std::string(511, '\0') + std::string(1024, '\0');
  EXPECT_EQ(describe_all(*tar, t.bytes), "sample deep/x\nfield png 1\n1");
}

TEST(Tar, SignedChecksum) {
  auto h = TarBytes::header("\xff\xfe.png", 0);
  int sum = 8 * ' ';
  for (std::size_t i = 0; i < h.size(); ++i) {
    if (i < 148 || i >= 156) sum += static_cast<signed char>(h[i]);
  }
  std::snprintf(h.data() + 148, 8, "%06o", static_cast<unsigned>(sum));
  EXPECT_EQ(scan(*tar, h + std::string(1024, '\0')).size(), 1U);
}

TEST(Tar, PaxSizeOverrides) {
  TarBytes t;
  t.pax(TarBytes::record("size", "3"))
      .raw(TarBytes::header("a.x", 0))
      .raw("123")
      .raw(std::string(509, '\0'));
  t.pax(TarBytes::record("size", "")).add("b.x", "12").end();
  EXPECT_EQ(describe_all(*tar, t.bytes), "sample a\nfield x 3\n123sample b\nfield x 2\n12");
}

TEST(Tar, ManyFieldsInASample) {
  TarBytes t;
  for (int i = 0; i < 100; ++i) t.add("a.F" + std::to_string(i), "");
  TarBytes twice = t;
  EXPECT_EQ(scan(*tar, t.end().bytes).size(), 1U);
  twice.add("a.f99", "").end();
  EXPECT_SAYS(scan_error(twice.bytes), "byte 51200: sample 'a' has the field 'f99' twice");
}

TEST(TarErrors, FieldTwice) {
  TarBytes t;
  t.add("a.png", "1").add("a.cls", "").add("a.PNG", "2").end();
  EXPECT_SAYS(scan_error(t.bytes), "byte 1536: sample 'a' has the field 'png' twice");
  TarBytes apart;  // WebDataset: only consecutive members are one sample
  apart.add("a.png", "1").add("b.png", "1").add("a.png", "2").end();
  EXPECT_EQ(scan(*tar, apart.bytes).size(), 3U);
}

TEST(TarErrors, CutShortAnywhere) {
  TarBytes t;
  t.add("a.x", std::string(700, '1')).pax(TarBytes::record("path", "b.x")).add("b", "2").end();
  for (std::size_t size = 0; size < t.bytes.size(); ++size) {
    const auto text = scan_error(t.bytes.substr(0, size));
    EXPECT_SAYS(text, "tar, byte ");
    EXPECT_SAYS(text, "cut short");
  }
}

TEST(TarErrors, EndMarkers) {
  TarBytes t;
  t.add("a.x", "1").raw(std::string(512, '\0')).add("b.x", "1").end();
  EXPECT_SAYS(scan_error(t.bytes), "byte 1024: a single zero block between members");
  TarBytes lone;
  lone.pax("").end();
  EXPECT_SAYS(scan_error(lone.bytes), "follows an extension header");
}

TEST(TarErrors, Checksum) {
  TarBytes t;
  t.add("a.x", "1").add("b.x", "1").end();
  t.bytes[1024 + 3] ^= 1;
  EXPECT_SAYS(scan_error(t.bytes), "byte 1024: no tar header: its checksum is wrong");
  EXPECT_SAYS(scan_error(t.bytes, {false, true}, 1 << 20), "byte 1049600: no tar header");
  EXPECT_SAYS(scan_error(std::string(2048, 'x')), "checksum is wrong");
  EXPECT_SAYS(scan_error("\x1f\x8b" + std::string(2048, '\7')), "uncompressed");
}

TEST(TarErrors, SizesOutOfThisWorld) {
  const auto with_size = [](const auto& edit) {
    auto h = TarBytes::header("a.x", 0);
    edit(h);
    TarBytes::checksum(h);
    return h + std::string(2048, '\0');
  };
  for (const std::uint64_t size :
       {std::uint64_t{1} << 63U, UINT64_MAX, UINT64_MAX - 511, std::uint64_t{2049}}) {
    const auto text = scan_error(with_size([&](std::string& h) { TarBytes::base256(h, size); }));
    EXPECT_SAYS(text, "byte 0: a member of " + std::to_string(size) + " bytes where 2048 are left");
  }
  const auto malformed = "the member's size is malformed, negative or above 64 bits";
  EXPECT_SAYS(scan_error(with_size([](std::string& h) { std::memset(&h[124], 0xff, 12); })),
              malformed);
  EXPECT_SAYS(scan_error(with_size([](std::string& h) { h[124] = '\x81'; })), malformed);
  EXPECT_SAYS(scan_error(with_size([](std::string& h) { std::memcpy(&h[124], "12x", 3); })),
              malformed);
  EXPECT_SAYS(
      scan_error(with_size([](std::string& h) { std::memcpy(&h[124], "77777777777", 12); })),
      "a member of 8589934591 bytes");
}

TEST(TarErrors, PaxGarbage) {
  const auto pax = [](std::string_view records, char type = 'x') {
    TarBytes t;
    return scan_error(t.pax(records, type).add("a.x", "1").end().bytes);
  };
  for (const auto* garbage :
       {"x", "12", "5 a=b", "99 path=a\n", "0 path=a\n", "-8 path=a\n", "6 a=bc\n", "3 \n", "4 =\n",
        "5 ab\n", " 6 a=b\n", "18446744073709551617 a=b\n"}) {
    EXPECT_SAYS(pax(garbage), "byte 0: malformed PAX records") << garbage;
  }
  EXPECT_SAYS(pax(TarBytes::record("size", "9223372036854775808")),
              "a member of 9223372036854775808");
  EXPECT_SAYS(pax(TarBytes::record("size", "18446744073709551616")), "no number of 64 bits");
  EXPECT_SAYS(pax(TarBytes::record("size", "-1")), "no number of 64 bits");
  EXPECT_SAYS(pax(TarBytes::record("path", std::string_view("a\0b", 3))), "a NUL in a PAX path");
  EXPECT_SAYS(pax(TarBytes::record("path", "b.x"), 'g'), "a global PAX header sets 'path'");
  EXPECT_SAYS(pax(TarBytes::record("size", "1"), 'g'), "a global PAX header sets 'size'");
  EXPECT_SAYS(pax(TarBytes::record("GNU.sparse.map", "0,1")), "sparse members are not supported");
  EXPECT_SAYS(scan_error(TarBytes().add("a.x", "", 'S').end().bytes), "sparse members");
}

TEST(TarErrors, ExtensionHeadersWithoutEnd) {
  TarBytes t;
  EXPECT_SAYS(scan_error(t.add("n", std::string((1U << 20U) + 1, 'x'), 'L').end().bytes),
              "at most 1 MiB");
  TarBytes many;
  for (int i = 0; i < 3000; ++i) many.pax("");
  EXPECT_SAYS(scan_error(many.add("a.x", "").end().bytes), "more than 1 MiB before one member");
}

TEST(TarErrors, WithinABlock) {
  TarBytes t;
  t.add("a.x", "1").add("b.x", "2");
  EXPECT_EQ(scan(*tar, t.bytes, {true, false}).size(), 2U);
  EXPECT_SAYS(scan_error(t.bytes + std::string(1024, '\0'), {false, false}),
              "an end marker within");
  EXPECT_SAYS(scan_error(t.bytes + "x", {false, false}), "the bytes end within a header");
  TarBytes extension = t;
  extension.pax("");
  EXPECT_SAYS(scan_error(extension.bytes, {false, false}),
              "the bytes end after an extension header");
}

TEST(TarErrors, FieldsOfWrongExtents) {
  EXPECT_THROW(describe(*tar, TarBytes().add("a", "1").bytes), Error);
  EXPECT_THROW(describe(*tar, ""), Error);
  EXPECT_THROW(describe(*tar, TarBytes().add("a.x", "1").add("b.x", "1").bytes), Error);
}

/// A file behind range reads that counts them.
class FileSource final : public format::Source {
 public:
  explicit FileSource(int fd)
      : fd_(fd), size_(static_cast<std::uint64_t>(lseek(fd, 0, SEEK_END))) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  std::span<const std::byte> read(std::uint64_t offset, std::uint64_t length) override {
    bytes += length;
    buffer_.resize(length);
    EXPECT_EQ(pread(fd_, buffer_.data(), length, static_cast<off_t>(offset)),
              static_cast<ssize_t>(length));
    return buffer_;
  }
  std::uint64_t bytes = 0;

 private:
  int fd_;
  std::uint64_t size_;
  std::vector<std::byte> buffer_;
};

TEST(Tar, MembersAbove8GiBAreSkipped) {
  const std::string name = testing::TempDir() + "/faro_huge_" + std::to_string(getpid()) + ".tar";
  const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_GE(fd, 0);
  unlink(name.c_str());
  constexpr std::uint64_t huge = 20'000'000'001;
  std::uint64_t at = 0;
  const auto put = [&](const std::string& bytes) {
    ASSERT_EQ(pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(bytes.size()));
    at += bytes.size();
  };
  const auto skip = [&] { at += (huge + 511) / 512 * 512; };
  put(TarBytes::header("a.bin", huge));  // base-256
  skip();
  put(TarBytes().add("a.cls", "1").bytes);
  put(TarBytes().pax(TarBytes::record("size", std::to_string(huge))).bytes);
  put(TarBytes::header("b.bin", 0));
  skip();
  ASSERT_EQ(ftruncate(fd, static_cast<off_t>(at + 1024)), 0);
  FileSource source(fd);
  Starts sink;
  tar->scan(source, {}, sink);
  EXPECT_EQ(sink.offsets, (std::vector<std::uint64_t>{0, 512 + 20'000'000'512 + 1024}));
  EXPECT_LT(source.bytes, 8192U);
  close(fd);
}

TEST(Tar, SplitsFast) {
  TarBytes t;
  constexpr std::size_t samples = 20'000;
  for (std::size_t i = 0; i < samples; ++i) {
    t.add(std::to_string(i) + ".png", "image").add(std::to_string(i) + ".cls", "7");
  }
  std::vector<format::Extent> extents(samples);
  const auto begin = std::chrono::steady_clock::now();
  format::split(*tar, bytes_of(t.bytes), 0, {true, false}, extents);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  RecordProperty("ns_per_member", std::to_string(took.count() / (2 * samples) * 1e9));
  EXPECT_LT(took.count(), 2.0);  // 0.01 s is usual; sanitizers and busy machines are slow
  EXPECT_EQ(extents.back().offset + extents.back().length, t.bytes.size());
}

}  // namespace
}  // namespace faro::test
