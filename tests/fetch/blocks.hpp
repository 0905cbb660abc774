// A manifest of blocks that need no data, and a directory for a cache.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "manifest/manifest.hpp"

namespace faro::test {

/// Two shards, blocks of 1 to 3 kB one after the other, without checksums.
inline manifest::Manifest make_blocks(std::uint64_t count) {
  manifest::Manifest m;
  m.format = {"tar"};
  m.shards = {{"https://user:secret@store/a.bin?sign=secret", 0, "\"one\""},
              {"https://store/b.bin", 0, "\"two\""}};
  for (std::uint64_t i = 0; i < count; ++i) {
    manifest::Block block;
    block.shard = i < count / 2 ? 0 : 1;
    auto& shard = m.shards[block.shard];
    block.offset = shard.size;
    block.length = 1000 + (i * 7919) % 2001;
    block.first_sample = i;
    block.count = 1;
    shard.size += block.length;
    m.sizes.add(block.length);
    m.blocks.push_back(block);
  }
  m.validate();
  return m;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(testing::TempDir() + "/faro_cache_XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Bytes of all files below, in whole pages, at one moment: under the cache's lock.
  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    const int lock = open((path_ + "/faro-cache-1/lock").c_str(), O_RDONLY | O_CLOEXEC);
    if (lock >= 0) flock(lock, LOCK_EX);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      std::error_code gone;
      const auto size = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
      if (!gone) sum += (size + 4095) / 4096 * 4096;
    }
    if (lock >= 0) close(lock);
    return sum;
  }

 private:
  std::string path_;
};

}  // namespace faro::test
