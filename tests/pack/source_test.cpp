// The source `idx`: what it reads, and what it refuses without taking memory for it.
#include "pack/source.hpp"

#include <gtest/gtest.h>

#include "pack/idx.hpp"
#include "support.hpp"

namespace faro::pack::test {
namespace {

std::string text(const SourceField& field) {
  return {reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size()};
}

void expect_refused(const std::string& path, unsigned dimensions, const std::string& says) {
  const Error error = error_of([&] { (void)read_idx(path, dimensions); });
  EXPECT_EQ(error.code(), ErrorCode::format) << error.what();
  EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
}

TEST(IdxFile, ReadsPlainAndGzip) {
  const Directory dir;
  const std::string data = pixels(4, 3, 2);
  write(dir / "plain", idx({4, 3, 2}, data));
  write_gz(dir / "packed.gz", idx({4, 3, 2}, data));
  for (const char* name : {"plain", "packed.gz"}) {
    const IdxFile file = read_idx(dir / name, 3);
    EXPECT_EQ(file.sizes, (std::vector<std::uint32_t>{4, 3, 2}));
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.data.data()), file.data.size()), data);
  }
}

TEST(IdxFile, RefusesAFileThatIsCutAnywhere) {
  const Directory dir;
  const std::string whole = idx({4, 3, 2}, pixels(4, 3, 2));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(dir / "cut", whole.substr(0, size));
    expect_refused(dir / "cut", 3, size < 16 ? "cut short" : "");
  }
}

TEST(IdxFile, RefusesAGzipFileThatIsCutAnywhere) {
  const Directory dir;
  write_gz(dir / "whole.gz", idx({4, 3, 2}, pixels(4, 3, 2)));
  const std::string whole = read(dir / "whole.gz");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(dir / "cut.gz", whole.substr(0, size));
    expect_refused(dir / "cut.gz", 3, "");
  }
}

TEST(IdxFile, RefusesAFlippedByteInGzip) {
  const Directory dir;
  write_gz(dir / "whole.gz", idx({4, 3, 2}, pixels(4, 3, 2)));
  std::string bad = read(dir / "whole.gz");
  bad[bad.size() - 6] = static_cast<char>(bad[bad.size() - 6] ^ 1);  // in the CRC
  write(dir / "bad.gz", bad);
  expect_refused(dir / "bad.gz", 3, "");
}

TEST(IdxFile, RefusesWrongMagic) {
  const Directory dir;
  write(dir / "labels", idx({4}, labels(4)) + std::string(16, 'x'));
  expect_refused(dir / "labels", 3, "0x00000801");
  write(dir / "text", "P5 28 28 255 and some more text");
  expect_refused(dir / "text", 3, "magic");
}

TEST(IdxFile, RefusesSizesThatTheFileCannotHold) {
  const Directory dir;
  write(dir / "huge", idx({0xffffffff, 0xffffffff, 0xffffffff}, "x"));
  expect_refused(dir / "huge", 3, "bytes or more");
  write(dir / "large", idx({0xffffffff, 28, 28}, "x"));
  expect_refused(dir / "large", 3, "holds 17 at most");
  write_gz(dir / "large.gz", idx({0xffffffff, 28, 28}, std::string(100'000, 'x')));
  expect_refused(dir / "large.gz", 3, "at most");
}

TEST(IdxFile, RefusesBytesTooMany) {
  const Directory dir;
  write(dir / "more", idx({2}, "abc"));
  expect_refused(dir / "more", 1, "goes on");
}

TEST(IdxFile, SaysWhatIsMissing) {
  const Directory dir;
  EXPECT_EQ(error_of([&] { (void)read_idx(dir / "none", 1); }).code(), ErrorCode::not_found);
}

TEST(IdxSource, GivesPngAndLabel) {
  const Directory dir;
  write_set(dir, 12);
  const auto source = open_source("idx", dir.path(), "train");
  ASSERT_EQ(source->count(), 12U);
  const SourceSample sample = source->sample(10);
  EXPECT_EQ(sample.key, "000010");
  ASSERT_EQ(sample.fields.size(), 2U);
  EXPECT_EQ(sample.fields[0].name, "png");
  EXPECT_EQ(text(sample.fields[0]).substr(1, 3), "PNG");
  EXPECT_EQ(sample.fields[1].name, "cls");
  EXPECT_EQ(text(sample.fields[1]), "255");
  EXPECT_EQ(text(source->sample(7).fields[1]), "7");
}

TEST(IdxSource, FindsOtherSpellings) {
  const Directory dir;
  write_gz(dir / "t10k-images.idx3-ubyte.gz", idx({3, 2, 2}, pixels(3, 2, 2)));
  write(dir / "t10k-labels-idx1-ubyte", idx({3}, labels(3)));
  EXPECT_EQ(open_source("idx", dir.path(), "t10k")->count(), 3U);
  const Error error = error_of([&] { (void)open_source("idx", dir.path(), "train"); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
}

TEST(IdxSource, RefusesWhatDoesNotFitTogether) {
  const Directory dir;
  write_set(dir, 4);
  write(dir / "train-labels-idx1-ubyte", idx({3}, labels(3)));
  EXPECT_EQ(error_of([&] { (void)open_source("idx", dir.path(), "train"); }).code(),
            ErrorCode::format);
  write(dir / "train-labels-idx1-ubyte", idx({4}, labels(4)));
  write(dir / "train-images-idx3-ubyte", idx({4, 0, 7}, ""));
  EXPECT_EQ(error_of([&] { (void)open_source("idx", dir.path(), "train"); }).code(),
            ErrorCode::format);
  EXPECT_EQ(error_of([&] { (void)open_source("idx", dir.path(), "test"); }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { (void)open_source("lmdb", dir.path(), "train"); }).code(),
            ErrorCode::invalid_argument);
}

TEST(Source, PadsKeysToTheirCount) {
  EXPECT_EQ(padded(7, 10), "000007");
  EXPECT_EQ(padded(7, 1'000'000), "000007");
  EXPECT_EQ(padded(7, 1'000'001), "0000007");
}

}  // namespace
}  // namespace faro::pack::test
