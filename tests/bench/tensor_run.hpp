// What the benchmarks of tensor batches share: their command line, the wait for a batch, and what
// all ranks took together.
#pragma once

#include <fmt/format.h>
#include <mpi.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/runtime.hpp"
#include "config/config.hpp"
#include "cuda/device.hpp"
#include "faro/tensor_loader.hpp"

namespace faro::bench {

/// A run's settings, and its tensors: one TOML file has both.
struct Run {
  Config config;
  TensorConfig tensors;
};

/// RUN.toml [--device host|cuda] on the command line.
struct Arguments {
  explicit Arguments(CLI::App& app) {
    app.add_option("run", file, "TOML: settings, and [[tensor]] tables")->required();
    app.add_option("--device", device, "instead of the file's")
        ->check(CLI::IsMember({"auto", "host", "cuda"}));
  }
  [[nodiscard]] Run load() const {
    Run run;
    config::load_toml(file, config::describe(run.config));
    run.tensors = load_tensors(file);
    if (!device.empty()) run.tensors.device = device;
    return run;
  }

  std::string file;
  std::string device;
};

/// Where batches come to; a GPU, if number is not negative.
class Place {
 public:
  explicit Place(int number) {
    if (number < 0) return;
    device_ = cuda::open_device(number);
    stream_ = device_->make_stream();
    event_ = device_->make_event();
  }
  /// Until the batch's tensors are there. In the host's memory they are.
  void wait_for(const TensorBatch& batch) {
    if (!device_) return;
    batch.wait_on(stream_->native());
    wait();
  }
  /// Until all copies are done.
  void wait() {
    stream_->record(*event_);
    event_->wait();
  }
  [[nodiscard]] cuda::Device* device() const { return device_.get(); }
  [[nodiscard]] cuda::Stream& stream() const { return *stream_; }

 private:
  std::shared_ptr<cuda::Device> device_;
  std::unique_ptr<cuda::Stream> stream_;
  std::unique_ptr<cuda::Event> event_;
};

/// Of this process, all its threads.
inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

inline double over_ranks(double mine, MPI_Op how) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_DOUBLE, how, MPI_COMM_WORLD);
  return mine;
}

/// MPI around a benchmark: rank 0 prints what `work` gives. A program's exit code.
template <class Work>
int run_with_mpi(std::string_view name, const Work& work) {
  int level = 0;
  int rank = 0;
  int ranks = 1;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  int code = 0;
  try {
    nlohmann::ordered_json result = work();
    result["ranks"] = ranks;
    if (rank == 0) fmt::print("{}\n", result.dump());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    code = 1;
    if (ranks > 1) MPI_Abort(MPI_COMM_WORLD, code);  // what failed here need not fail on the others
  }
  MPI_Finalize();
  return code;
}

}  // namespace faro::bench
