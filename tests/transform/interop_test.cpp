// Images that Pillow and arrays that NumPy have written, against what these read from them again.
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "support.hpp"

namespace faro::test {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Expected {
  std::vector<std::uint64_t> shape;
  std::string bytes;
};

Expected expected_of(const fs::path& file) {
  const auto text = slurp(file);
  const auto end = text.find('\n');
  std::istringstream line(text.substr(0, end));
  Expected expected{{std::istream_iterator<std::uint64_t>(line), {}}, text.substr(end + 1)};
  return expected;
}

transform::Pixels decode(const std::string& name, const std::string& bytes, std::uint32_t channels,
                         transform::Scratch& scratch) {
  const transform::ImageLimits limits{channels, 1U << 20};
  return name.ends_with(".png") ? transform::decode_png(as_bytes(bytes), limits, scratch.pixels)
                                : scratch.jpeg.decode(as_bytes(bytes), limits, scratch.pixels);
}

void check_image(const std::string& name, const std::string& bytes, const Expected& expected) {
  transform::Scratch scratch;
  const auto channels = static_cast<std::uint32_t>(expected.shape[2]);
  const auto pixels = decode(name, bytes, channels, scratch);
  ASSERT_EQ((std::vector<std::uint64_t>{pixels.height, pixels.width, pixels.channels}),
            expected.shape);
  // CMYK becomes RGB by arithmetic that Pillow rounds otherwise; all else is exact.
  const int slack = name == "cmyk.jpg" ? 2 : 0;
  for (std::size_t i = 0; i < expected.bytes.size(); ++i) {
    const int wanted = static_cast<unsigned char>(expected.bytes[i]);
    ASSERT_LE(std::abs(static_cast<int>(pixels.data[i]) - wanted), slack) << name << " byte " << i;
  }
  if (channels == 3) {
    EXPECT_SAYS(error_of([&] { decode(name, bytes, 1, scratch); }, ErrorCode::format), "in colour");
    return;
  }
  const auto repeated = decode(name, bytes, 3, scratch);
  ASSERT_EQ(repeated.channels, 3U);
  for (std::size_t i = 0; i < expected.bytes.size() * 3; ++i) {
    ASSERT_EQ(repeated.data[i], static_cast<unsigned char>(expected.bytes[i / 3])) << name;
  }
}

void check_cut(const std::string& name, const std::string& bytes) {
  transform::Scratch scratch;
  for (std::size_t length = 0; length < bytes.size(); length += 1 + bytes.size() / 97) {
    const auto cut = bytes.substr(0, length);
    error_of(
        [&] {
          if (name.ends_with(".npy")) {
            static_cast<void>(transform::decode_npy(as_bytes(cut)));
          } else {
            static_cast<void>(decode(name, cut, 3, scratch));
          }
        },
        ErrorCode::format);
  }
}

TEST(Interop, FieldsOfOtherWriters) {
  std::string folder = testing::TempDir() + "/faro_fields_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string command = "/usr/bin/python3 " FARO_MAKE_FIELDS " " + folder;
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    if (name.ends_with("ed")) continue;  // .expected, .refused
    ++files;
    const auto bytes = slurp(entry.path());
    if (const auto refused = slurp(entry.path().string() + ".refused"); !refused.empty()) {
      const auto text = error_of(
          [&] {
            transform::Scratch scratch;
            if (name.ends_with(".npy")) {
              static_cast<void>(transform::decode_npy(as_bytes(bytes)));
            } else {
              static_cast<void>(decode(name, bytes, 3, scratch));
            }
          },
          ErrorCode::format);
      EXPECT_SAYS(text, refused);
      continue;
    }
    const auto expected = expected_of(entry.path().string() + ".expected");
    if (name.ends_with(".npy")) {
      const auto array = transform::decode_npy(as_bytes(bytes));
      EXPECT_EQ(array.shape, expected.shape) << name;
      ASSERT_EQ(array.elements.size(), expected.bytes.size()) << name;
      EXPECT_TRUE(
          expected.bytes.empty() ||
          std::memcmp(array.elements.data(), expected.bytes.data(), expected.bytes.size()) == 0)
          << name;
    } else {
      check_image(name, bytes, expected);
    }
    check_cut(name, bytes);
  }
  EXPECT_EQ(files, 15U + 44U + 5U);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace faro::test
