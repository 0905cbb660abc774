// What a consumer that computes waits for the exchange, and what ranks take that have nothing to
// do. Driven by exchange.py --overlap.
//
//     mpirun -n RANKS overlap_bench DATA GLOBAL_BATCH NODE_RANKS REPETITIONS IDLE_SECONDS
//
// In turn: epochs whose consumer does nothing (what the exchange takes), and epochs whose consumer
// spins for twice as long as that a step. Then the consumers sleep in the middle of an epoch. From
// memory: the first epoch reads, and is not counted. Rank 0 prints one line of JSON.
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "comm/mpi.hpp"
#include "faro/loader.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double over_ranks(double mine, MPI_Op op) {
  double all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, op, MPI_COMM_WORLD);
  return all;
}

// Rounds are made ahead, beyond an epoch's end: what one takes shows over many.
constexpr int epochs_at_once = 40;

/// Of epochs whose consumer spins for `busy` seconds a step, the seconds of one, and of them those
/// that it waited: of the slowest rank.
std::pair<double, double> epochs(faro::Loader& loader, double busy) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto begin = Clock::now();
  double stall = 0;
  for (int i = 0; i < epochs_at_once; ++i) {
    loader.begin_epoch();
    while (const auto batch = loader.next()) {
      for (const auto start = Clock::now(); seconds_since(start) < busy;) {
      }
    }
    stall += loader.epoch_stats().stall_seconds;
  }
  return {over_ranks(seconds_since(begin), MPI_MAX) / epochs_at_once,
          over_ranks(stall, MPI_MAX) / epochs_at_once};
}

nlohmann::ordered_json run(const faro::Config& config, int repetitions, double idle) {
  faro::Loader loader(config);
  for (int i = 0; i < 2; ++i) epochs(loader, 0);
  nlohmann::ordered_json result{{"ranks", loader.plan().ranks}, {"steps", loader.plan().steps}};
  for (int i = 0; i < repetitions; ++i) {
    const double exchange = epochs(loader, 0).first;
    const double a_step = exchange / static_cast<double>(loader.plan().steps);
    const auto [seconds, stall] = epochs(loader, 2 * a_step);
    result["exchange_seconds"].push_back(exchange);
    result["epoch_seconds"].push_back(seconds);
    result["stall_seconds"].push_back(stall);
  }
  loader.begin_epoch();
  const auto batch = loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double cpu = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::duration<double>(idle));
  result["idle_seconds"] = idle;
  result["idle_cpu_seconds"] = over_ranks(cpu_seconds() - cpu, MPI_SUM);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  if (argc != 6) {
    std::fprintf(stderr,
                 "usage: overlap_bench DATA GLOBAL_BATCH NODE_RANKS REPETITIONS IDLE_SECONDS\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  try {
    faro::Config config;
    config.data = argv[1];
    config.global_batch = std::strtoull(argv[2], nullptr, 10);
    config.node_ranks = std::strtoull(argv[3], nullptr, 10);
    config.window.kind = faro::Window::Kind::full;
    config.memory = std::uint64_t{2} << 30;
    config.epochs = 1'000'000;
    config.max_requests = 4;
    const auto result = run(config, std::atoi(argv[4]), std::atof(argv[5]));
    if (faro::comm::job_rank() == 0) std::printf("%s\n", result.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "overlap_bench: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}
