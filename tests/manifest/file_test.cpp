// The manifest's file: round trip, other readers, and every kind of damage.
#include <unistd.h>

#include <random>

#include "support.hpp"

namespace faro::test {
namespace {

manifest::Manifest many_blocks() {
  using manifest::Block;
  manifest::Manifest m;
  m.format = {"raw", 16, 100};
  std::uint64_t sample = 0;
  for (std::uint32_t s = 0; s < 50; ++s) {
    m.shards.push_back({fmt::format("http://host/größe/{}.bin", s), 16 + 100'000, "\"etag\""});
    for (std::uint64_t b = 0; b < 10; ++b) {
      const std::uint64_t offset = b == 0 ? 0 : 16 + b * 10'000;
      m.blocks.push_back({s, s * 77, offset, 10'000 + (b == 0 ? 16U : 0U), sample, 100, 1});
      sample += 100;
    }
  }
  m.sizes.add(116, 50);
  m.sizes.add(100, sample - 50);
  m.validate();
  return m;
}

TEST(File, RoundTrip) {
  const Folder folder;
  for (const auto& m : {small_manifest(), many_blocks()}) {
    write(m, folder.path("m.faro.h5"));  // the second replaces the first
    EXPECT_EQ(serialise(manifest::read(folder.path("m.faro.h5"))), serialise(m));
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    files += entry.exists();
  EXPECT_EQ(files, 1U);
}

TEST(File, TheSameManifestIsTheSameBytes) {
  const Folder folder;
  write(many_blocks(), folder.path("a"));
  write(many_blocks(), folder.path("b"));
  EXPECT_EQ(slurp(folder.path("a")), slurp(folder.path("b")));
}

TEST(File, AboutFortyBytesABlock) {
  const Folder folder;
  auto m = many_blocks();
  write(m, folder.path("m"));
  EXPECT_LT(std::filesystem::file_size(folder.path("m")),
            m.blocks.size() * 40 + m.shards.size() * 48 + 260 * 16 + 8192);
}

TEST(File, IsReadByH5py) {
  if (std::system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0)
    GTEST_SKIP() << "Debian's python3-h5py, the other reader of the file, is not installed "
                    "(jobs/setup.sh --tests)";
  const Folder folder;
  write(small_manifest(), folder.path("m.h5"));
  spill(folder.path("t.py"), R"(
import h5py, sys
f = h5py.File(sys.argv[1], "r")
assert f.userblock_size == 512
assert f["blocks"].dtype.itemsize == 40
assert f["blocks"].dtype.names == ("shard", "crc32c", "offset", "length", "first_sample", "count", "flags")
assert f["blocks"][:].tolist() == [(0, 7, 0, 1024, 0, 2, 1), (0, 0, 1024, 3072, 2, 1, 0), (2, 9, 0, 2048, 3, 4, 1)]
assert f["shards"][:].tolist() == [(b"file:///data/a.tar", 4096, b"e1"), (b"file:///data/empty.tar", 1024, b""),
                                   (b"file:///data/b.tar", 2048, b'"e2"')]
assert f["sample_sizes"]["count"].sum() == 7
a = f.attrs
assert (a["format"], a["samples"], a["bytes"], a["raw_header"], a["raw_record"]) == (b"tar", 7, 6144, 0, 0)
assert a["version"] == 1
)");
  const auto command =
      fmt::format("/usr/bin/python3 {} {}", folder.path("t.py"), folder.path("m.h5"));
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(File, CutShortAtEveryLength) {
  const Folder folder;
  write(small_manifest(), folder.path("m"));
  const auto bytes = slurp(folder.path("m"));
  for (std::size_t size = 0; size < bytes.size(); size += size < 40 ? 1 : 119) {
    spill(folder.path("cut"), bytes.substr(0, size));
    const auto text =
        error_of([&] { return manifest::read(folder.path("cut")); }, ErrorCode::format);
    EXPECT_SAYS(text, "/cut: ");
    EXPECT_SAYS(text, size < 512 ? "not a faro manifest" : "cut short?");
  }
  spill(folder.path("long"), bytes + "x");
  static_cast<void>(
      error_of([&] { return manifest::read(folder.path("long")); }, ErrorCode::format));
}

TEST(File, AnyFlippedBit) {
  const Folder folder;
  write(small_manifest(), folder.path("m"));
  const auto bytes = slurp(folder.path("m"));
  std::mt19937 random(1);
  for (std::size_t at = 0; at < bytes.size(); at += at < 40 ? 1 : 61) {
    auto flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << random() % 8));
    spill(folder.path("flipped"), flipped);
    static_cast<void>(
        error_of([&] { return manifest::read(folder.path("flipped")); }, ErrorCode::format));
  }
}

TEST(File, OtherErrors) {
  const Folder folder;
  const auto read = [&](const std::string& file) { return [=] { return manifest::read(file); }; };
  EXPECT_SAYS(error_of(read(folder.path("none")), ErrorCode::not_found), "/none: No such file");
  static_cast<void>(error_of(read(folder.path()), ErrorCode::format));
  static_cast<void>(error_of(read("/dev/null"), ErrorCode::format));
  spill(folder.path("text"), std::string(4096, 'x'));
  EXPECT_SAYS(error_of(read(folder.path("text")), ErrorCode::format), "not a faro manifest");

  const auto m = small_manifest();
  EXPECT_SAYS(error_of([&] { write(m, folder.path("no/m")); }, ErrorCode::not_found),
              "cannot open");
  std::filesystem::create_directory(folder.path("dir"));
  spill(folder.path("dir/x"), "");
  static_cast<void>(error_of([&] { write(m, folder.path("dir")); }, ErrorCode::io));
  std::size_t files = 0;  // the temporary file is gone
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    files += entry.exists();
  EXPECT_EQ(files, 2U);
}

}  // namespace
}  // namespace faro::test
