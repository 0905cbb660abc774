// Tar files of independent writers (GNU tar in five formats, Python's tarfile in three), compared
// with what Python's tarfile reads from them.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tar_bytes.hpp"

namespace faro::test {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Interop, TarsOfOtherWriters) {
  std::string folder = testing::TempDir() + "/faro_interop_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string command = "/usr/bin/python3 " FARO_MAKE_TARS " " + folder;
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto tar = format::make_format({"tar"});
  std::size_t files = 0;
  std::size_t samples = 0;
  std::size_t outlined = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".tar") continue;
    ++files;
    const auto bytes = slurp(entry.path());
    auto expected = entry.path();
    expected.replace_extension(".expected");
    EXPECT_TRUE(describe_all(*tar, bytes) == slurp(expected)) << entry.path();
    const auto whole = scan(*tar, bytes);
    EXPECT_EQ(whole.size() > 20, entry.path().filename() != "python-empty.tar") << entry.path();
    for (const auto& sample : whole) {  // blocks of one sample
      const format::Ends ends{sample.offset == 0, sample.offset + sample.length == bytes.size()};
      format::Extent extent;
      format::split(*tar, bytes_of(bytes).subspan(sample.offset, sample.length), sample.offset,
                    ends, std::span(&extent, 1));
      EXPECT_EQ(extent.length, sample.length);
      outlined += expect_same_by_outline(
          *tar, std::string_view(bytes).substr(sample.offset, sample.length), extent.outline);
      ++samples;
    }
  }
  EXPECT_EQ(files, 9U);
  EXPECT_GT(outlined, samples / 10);
  EXPECT_LT(outlined, samples);  // long names, upper case, three members
  fs::remove_all(folder);
}

}  // namespace
}  // namespace faro::test
