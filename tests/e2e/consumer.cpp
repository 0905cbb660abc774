// A training code that goes wrong on purpose: consumer MODE DATA PEER_TIMEOUT. Its last rank does
// what MODE says; all of them then destroy the loader and, in the same job, run a good epoch with
// another one. Every rank prints one line of JSON: what it was thrown, after how long, and what of
// the process was there before the first loader and after it.
#include <fmt/format.h>
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <faro/loader.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

constexpr int peer = static_cast<int>(faro::ErrorCode::peer);

/// What a loader takes of its process beside memory.
struct Held {
  std::size_t threads = 0;
  std::size_t files = 0;
  std::size_t shared = 0;  // mappings of shared memory, MPI's included

  static std::size_t count(const char* directory) {
    std::size_t entries = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) {
      ++entries;
    }
    return entries;
  }
  static Held now() {
    Held held{count("/proc/self/task"), count("/proc/self/fd"), 0};
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      const auto mode = line.find(' ') + 1;
      if (line[mode + 3] == 's') ++held.shared;
    }
    return held;
  }
  [[nodiscard]] std::string json() const {
    return fmt::format("[{}, {}, {}]", threads, files, shared);
  }
};

struct Run {
  faro::Loader& loader;
  bool bad;       // whether this rank does it
  int batch = 0;  // that have been got

  /// The next batch, through the ends of epochs; false at the end.
  bool next(std::vector<faro::Batch>& held, std::size_t hold = 0) {
    for (;;) {
      if (auto got = loader.next()) {
        ++batch;
        held.push_back(std::move(*got));
        if (held.size() > hold) held.erase(held.begin());
        return true;
      }
      if (!loader.begin_epoch()) return false;
    }
  }
  void until(int last, std::size_t hold = 0) {
    std::vector<faro::Batch> held;
    while (batch < last && next(held, hold)) {
    }
  }
};

constexpr int all = 1 << 30;

const std::map<std::string, std::function<void(Run&)>> modes{
    // All ranks leave in the middle of an epoch.
    {"break", [](Run& run) { run.until(5); }},
    {"throw",
     [](Run& run) {
       run.until(run.bad ? 5 : all);
       if (run.bad) throw std::runtime_error("out of luck");
     }},
    {"destroy", [](Run& run) { run.until(run.bad ? 5 : all); }},
    {"hold", [](Run& run) { run.until(all, run.bad ? 3 : 0); }},
    {"sleep",
     [](Run& run) {
       run.until(run.bad ? 5 : all);
       std::this_thread::sleep_for(std::chrono::hours(1));
     }},
    // The very last batch is handed out well, and goes wrong in the user's hands.
    {"throw_at_end",
     [](Run& run) {
       run.until(run.bad ? static_cast<int>(run.loader.plan().steps) * 2 : all);
       if (run.bad) throw std::runtime_error("out of luck");
     }},
    // Nobody catches it.
    {"terminate",
     [](Run& run) {
       run.until(run.bad ? 5 : all);
       std::thread([] { throw std::runtime_error("nobody's"); }).join();
     }},
    {"exit",
     [](Run& run) {
       run.until(run.bad ? 5 : all);
       std::_Exit(3);
     }},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const bool funneled = std::getenv("FARO_TEST_THREADS") != nullptr;
  int level = 0;
  MPI_Init_thread(&argc, &argv, funneled ? MPI_THREAD_FUNNELED : MPI_THREAD_MULTIPLE, &level);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);

  faro::Config config;
  config.data = argv[2];
  config.format = "raw";
  config.raw_record = 1024;
  config.checksums = false;
  config.epochs = 2;
  config.global_batch = 8 * static_cast<std::uint64_t>(size);
  config.window = {faro::Window::Kind::bytes, 1 << 16};
  config.block_size = 1 << 14;
  config.peer_timeout = std::strtod(argv[3], nullptr);

  std::string said;
  int code = 0;
  int from = -1;
  auto start = std::chrono::steady_clock::now();
  // What MPI and the libraries open once, and keep.
  faro::Loader(config, MPI_COMM_SELF).begin_epoch();
  const std::vector<int> out(static_cast<std::size_t>(size));
  auto in = out;
  MPI_Alltoall(out.data(), 1, MPI_INT, in.data(), 1, MPI_INT, MPI_COMM_WORLD);
  MPI_Barrier(MPI_COMM_WORLD);
  const auto before = Held::now();
  try {
    faro::Loader loader(config);
    loader.begin_epoch();
    Run run{loader, rank == size - 1};
    modes.at(argv[1])(run);
  } catch (const faro::Error& error) {
    said = error.what();
    code = static_cast<int>(error.code());
    from = error.rank();
  } catch (const std::exception& error) {
    said = error.what();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const auto after = Held::now();

  std::size_t samples = 0;
  if (code != peer) {  // all ranks are here
    faro::Loader again(config);
    again.begin_epoch();
    while (const auto batch = again.next()) samples += batch->size();
  }
  fmt::print(R"({{"rank": {}, "said": "{}", "code": {}, "from": {}, "seconds": {:.2f}, )"
             R"("before": {}, "after": {}, "samples": {}}})"
             "\n",
             rank, said, code, from, seconds.count(), before.json(), after.json(), samples);
  std::fflush(stdout);
  if (code == peer) {  // who is silent comes to no end with the others: wait for their lines alone
    std::this_thread::sleep_for(std::chrono::seconds(2));
    MPI_Abort(MPI_COMM_WORLD, 4);
  }
  MPI_Finalize();
  return 0;
}
