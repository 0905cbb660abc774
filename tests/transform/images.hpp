// A data set of PNG images and labels, that rank 0 of a job makes.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "../format/tar_bytes.hpp"
#include "comm/mpi.hpp"
#include "faro/tensor_loader.hpp"
#include "support.hpp"

namespace faro::test {

inline constexpr std::uint32_t side = 12;

/// Tar shards of images whose pixels and labels follow from their numbers, that rank 0 makes.
class Images {
 public:
  static constexpr std::uint64_t shards = 3;
  static constexpr std::uint64_t per_shard = 37;
  static constexpr std::uint64_t samples = shards * per_shard;

  /// \param damage changes or removes fields of a sample
  using Fields = std::map<std::string, std::string>;
  explicit Images(const std::function<void(std::uint64_t, Fields&)>& damage = {}) {
    std::string path = testing::TempDir() + "/faro_tensors_XXXXXX";
    if (world->rank() == 0) {
      EXPECT_NE(mkdtemp(path.data()), nullptr);
      for (std::uint64_t shard = 0, n = 0; shard < shards; ++shard) {
        TarBytes tar;
        for (std::uint64_t i = 0; i < per_shard; ++i, ++n) {
          Fields fields{{"cls", std::to_string(n % 10) + "\n"},
                        {"png", grey_png(pixels(n, side, side), side, side)}};
          if (damage) damage(n, fields);
          for (const auto& [name, bytes] : fields) {
            tar.add(fmt::format("{:05}.{}", n, name), bytes);
          }
        }
        std::ofstream(fmt::format("{}/train-{}.tar", path, shard), std::ios::binary)
            << tar.bytes << std::string(1024, '\0');
      }
    }
    path_ = comm::broadcast_text(*world, path, 0);
    config.data = path_;
    config.global_batch = 16;
    config.memory = 1U << 30;
    config.end = EndPolicy::pad;
    config.seed = 5;
    config.peer_timeout = 20;
    TensorSpec label;
    label.name = "label";
    label.field = "cls";
    label.decode = Decode::label;
    label.classes = 10;
    tensors.tensors = {grey(side, side), label};
    tensors.device = "host";
    tensors.max_pixels = 1U << 16;
  }
  ~Images() {
    world->barrier();
    if (world->rank() == 0) std::filesystem::remove_all(path_);
  }

  std::unique_ptr<comm::Communicator> world = comm::from_mpi(MPI_COMM_WORLD);
  Config config;
  TensorConfig tensors;

 private:
  std::string path_;
};

/// The error of a run that meets a bad sample; the same on all ranks, by the same call.
inline std::string error_of_run(Images& data) {
  std::vector<std::uint64_t> step{0, 0};
  std::string text;
  TensorLoader loader(data.config, data.tensors);
  try {
    while (loader.begin_epoch()) {
      while (loader.next()) ++step[0];
    }
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::format) << error.what();
    text = error.what();
  }
  step[1] = ~step[0];
  data.world->all_reduce(step, comm::Op::max);
  EXPECT_EQ(step[0], ~step[1]) << "not by the same call of next()";
  EXPECT_EQ(comm::broadcast_text(*data.world, text, 0), text);
  return text;
}

}  // namespace faro::test
