// An emulated training step, as in MLPerf Storage: takes a batch, waits until its tensors are
// there, sleeps for as long as the step would compute, gives the batch back. Driven by place.py.
//
//     stall_bench RUN.toml --step SECONDS [--device host|cuda]
//
// Prints one line of JSON: of each epoch its steps, bytes as they are stored, seconds, the seconds
// it slept, and those that it stalled: in next() and in the wait. The slowest rank's; bytes are of
// all.
#include <sys/prctl.h>

#include <thread>

#include "tensor_run.hpp"

namespace faro::bench {
namespace {

nlohmann::ordered_json run_epoch(TensorLoader& loader, Place& place, double step) {
  const auto start = Clock::now();
  double computed = 0;
  double stalled = 0;
  double longest = 0;
  std::uint64_t steps = 0;
  for (;;) {
    const auto asked = Clock::now();
    auto batch = loader.next();
    if (batch) place.wait_for(*batch);
    const auto there = Clock::now();
    const auto stall = seconds_between(asked, there);
    stalled += stall;
    if (!batch) break;
    longest = std::max(longest, stall);
    ++steps;
    std::this_thread::sleep_for(std::chrono::duration<double>(step));
    computed += seconds_since(there);
  }
  const auto seconds = seconds_since(start);
  const auto bytes = static_cast<double>(loader.epoch_stats().bytes);
  return {{"steps", steps},
          {"bytes", over_ranks(bytes, MPI_SUM)},
          {"seconds", over_ranks(seconds, MPI_MAX)},
          {"computed_seconds", over_ranks(computed, MPI_MAX)},
          {"stall_seconds", over_ranks(stalled, MPI_MAX)},
          {"longest_stall_seconds", over_ranks(longest, MPI_MAX)}};
}

nlohmann::ordered_json run(const Run& given, double step) {
  TensorLoader loader(given.config, given.tensors);
  Place place(loader.device());
  prctl(PR_SET_TIMERSLACK, 1UL);  // of this thread, ns: it sleeps as long as it is told
  nlohmann::ordered_json result{{"device", loader.tensor_plan().device},
                                {"threads", loader.tensor_plan().threads},
                                {"resident", loader.plan().resident},
                                {"step_seconds", step}};
  while (loader.begin_epoch()) result["epochs"].push_back(run_epoch(loader, place, step));
  return result;
}

}  // namespace
}  // namespace faro::bench

int main(int argc, char** argv) {
  CLI::App app("What a training step of a given time waits for its batches");
  const faro::bench::Arguments arguments(app);
  double step = 0;
  app.add_option("--step", step, "seconds that it computes")
      ->required()
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  return faro::bench::run_with_mpi("stall_bench",
                                   [&] { return faro::bench::run(arguments.load(), step); });
}
