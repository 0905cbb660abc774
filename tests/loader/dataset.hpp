// A data set of raw records in a folder that rank 0 makes and all ranks see.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "../support/errors.hpp"
#include "comm/mpi.hpp"
#include "faro/loader.hpp"
#include "manifest/manifest.hpp"

namespace faro::test {

/// Record n holds n and then bytes of n % 251.
class RawData {
 public:
  static constexpr std::uint64_t record = 96;

  explicit RawData(std::uint64_t shards = 3, std::uint64_t records = 400) {
    std::string path = testing::TempDir() + "/faro_loader_XXXXXX";
    if (world->rank() == 0) {
      EXPECT_NE(mkdtemp(path.data()), nullptr);
      for (std::uint64_t s = 0, n = 0; s < shards; ++s) {
        std::ofstream out(path + "/" + std::to_string(s) + ".bin", std::ios::binary);
        for (std::uint64_t i = 0; i < records; ++i, ++n) {
          std::string bytes(record, static_cast<char>(n % 251));
          std::memcpy(bytes.data(), &n, sizeof(n));
          out << bytes;
        }
      }
    }
    path_ = comm::broadcast_text(*world, path, 0);
    samples = shards * records;
    config.data = path_ + "/*.bin";
    config.format = "raw";
    config.raw_record = record;
    config.block_size = 4096;
    config.global_batch = 32;
    config.memory = 1U << 30;
    config.window = {Window::Kind::bytes, 16384};
    config.peer_timeout = 20;
  }
  ~RawData() {
    world->barrier();
    if (world->rank() == 0) std::filesystem::remove_all(path_);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

  std::unique_ptr<comm::Communicator> world = comm::from_mpi(MPI_COMM_WORLD);
  Config config;
  std::uint64_t samples = 0;

 private:
  std::string path_;
};

}  // namespace faro::test
