// IDX files of the tests' own making, and a directory that goes away with the test.
#pragma once

#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace faro::pack::test {

namespace fs = std::filesystem;

/// An empty directory, removed with everything in it at the end.
class Directory {
 public:
  explicit Directory(fs::path path) : path_(std::move(path)) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  Directory() : Directory(fs::temp_directory_path() / ("faro-pack-" + std::to_string(getpid()))) {}
  ~Directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

inline void put32(std::string& to, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<char>(value >> shift));
}

/// An IDX file of bytes: the magic of its dimensions, the sizes, the data.
inline std::string idx(const std::vector<std::uint32_t>& sizes, const std::string& data) {
  std::string file;
  put32(file, 0x0800U | static_cast<std::uint32_t>(sizes.size()));
  for (const std::uint32_t size : sizes) put32(file, size);
  return file + data;
}

/// Pixels that differ from image to image and have every value.
inline std::string pixels(std::uint32_t count, std::uint32_t rows, std::uint32_t columns) {
  std::string data(std::size_t{count} * rows * columns, '\0');
  std::uint32_t state = 12'345;
  for (char& c : data) {
    state = state * 1'664'525U + 1'013'904'223U;  // Numerical Recipes' generator
    c = static_cast<char>(state >> 24);
  }
  return data;
}

inline std::string labels(std::uint32_t count) {
  std::string data(count, '\0');
  for (std::uint32_t i = 0; i < count; ++i)
    data[i] = static_cast<char>(i % 11 == 10 ? 255 : i % 11);
  return data;
}

inline void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline void write_gz(const std::string& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  if (file == nullptr) throw std::runtime_error("cannot write " + path);
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

inline std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A data set of count images in `directory`, as plain files.
inline void write_set(const Directory& directory, std::uint32_t count, std::uint32_t rows = 5,
                      std::uint32_t columns = 7) {
  write(directory / "train-images-idx3-ubyte",
        idx({count, rows, columns}, pixels(count, rows, columns)));
  write(directory / "train-labels-idx1-ubyte", idx({count}, labels(count)));
}

/// The Error that `work` throws; Error(internal) "nothing was thrown" where it does not.
template <class Work>
Error error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::internal, "nothing was thrown"};
}

}  // namespace faro::pack::test
