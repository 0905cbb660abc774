// A small manifest, and folders for files.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "../support/errors.hpp"
#include "base/error.hpp"
#include "manifest/manifest.hpp"

namespace faro::test {

inline manifest::Manifest small_manifest() {
  using manifest::Block;
  manifest::Manifest m;
  m.format = {"tar"};
  m.shards = {{"file:///data/a.tar", 4096, "e1"},
              {"file:///data/empty.tar", 1024, ""},
              {"file:///data/b.tar", 2048, "\"e2\""}};
  m.blocks = {{0, 7, 0, 1024, 0, 2, Block::has_crc},
              {0, 0, 1024, 3072, 2, 1, 0},
              {2, 9, 0, 2048, 3, 4, Block::has_crc}};
  m.sizes.add(512, 6);
  m.sizes.add(3072, 1);
  m.validate();
  return m;
}

class Folder {
 public:
  Folder() { EXPECT_NE(mkdtemp(path_.data()), nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string path(const std::string& name = "") const { return path_ + "/" + name; }

 private:
  std::string path_ = testing::TempDir() + "/faro_manifest_XXXXXX";
};

inline std::string slurp(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void spill(const std::string& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

}  // namespace faro::test
