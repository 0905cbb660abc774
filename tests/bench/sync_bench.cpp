// GradientSync over ranks, beside plain MPI_Allreduce of the same buckets. Driven by tensors.py.
//
//     mpirun -n RANKS sync_bench MIB PARAMETERS REPETITIONS
//
// Gradients of MIB in all (f32), in PARAMETERS of as many elements. In turn, REPETITIONS times:
// MPI_Allreduce, one bucket after the other; a step whose gradients live in their buckets and are
// ready at once; the same with gradients of the caller's own, f32 and bf16; and a step whose
// backward pass spins for twice as long as the first kind of step takes. Rank 0 prints one line of
// JSON: the seconds of the slowest rank.
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "faro/gradient_sync.hpp"

namespace {

using namespace faro;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double slowest(double mine) {
  double all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return all;
}

template <class Work>
double timed(const Work& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto start = Clock::now();
  work();
  return slowest(seconds_since(start));
}

class Model {
 public:
  /// \param size bytes of an element of gradients of the caller's own; 0: they live in buckets
  Model(std::size_t parameters, std::size_t elements, GradientType type, std::size_t size) {
    std::vector<GradientParameter> all;
    for (std::size_t i = 0; i < parameters; ++i) {
      memory_.emplace_back(elements * size);
      all.push_back(
          {"p" + std::to_string(i), size > 0 ? memory_.back().data() : nullptr, elements, type});
    }
    sync_.emplace(all);
  }

  /// \param busy seconds of the backward pass. The seconds that ready() and wait() took.
  double step(double busy = 0) {
    const auto parameters = memory_.size();
    double exposed = 0;
    sync_->set_weight(64);
    for (std::size_t i = parameters; i-- > 0;) {
      for (const auto start = Clock::now();
           busy > 0 && seconds_since(start) < busy / static_cast<double>(parameters);) {
      }
      const auto start = Clock::now();
      sync_->ready(i);
      exposed += seconds_since(start);
    }
    const auto start = Clock::now();
    sync_->wait();
    return exposed + seconds_since(start);
  }

 private:
  std::vector<std::vector<std::byte>> memory_;
  std::optional<GradientSync> sync_;
};

/// As GradientSync lays them out: the first bucket of 1 MiB, the others of 25.
class Plain {
 public:
  explicit Plain(std::size_t elements) : from_(elements), to_(elements) {}
  void step() {
    for (std::size_t at = 0, count = first; at < from_.size(); at += count, count = others) {
      count = std::min(count, from_.size() - at);
      MPI_Allreduce(from_.data() + at, to_.data() + at, static_cast<int>(count), MPI_FLOAT, MPI_SUM,
                    MPI_COMM_WORLD);
    }
  }

 private:
  static constexpr std::size_t first = (1U << 20) / sizeof(float);
  static constexpr std::size_t others = (25U << 20) / sizeof(float);
  std::vector<float> from_;
  std::vector<float> to_;
};

nlohmann::ordered_json run(std::size_t bytes, std::size_t parameters, int repetitions) {
  const auto elements = bytes / sizeof(float) / parameters;
  Plain plain(elements * parameters);
  Model in_place(parameters, elements, GradientType::f32, 0);
  Model f32(parameters, elements, GradientType::f32, 4);
  Model bf16(parameters, elements, GradientType::bf16, 2);
  nlohmann::ordered_json result{{"bytes", elements * parameters * sizeof(float)}};
  for (int i = -2; i < repetitions; ++i) {  // two to warm up
    const double allreduce = timed([&] { plain.step(); });
    const double alone = timed([&] { in_place.step(); });
    const double own = timed([&] { f32.step(); });
    const double half = timed([&] { bf16.step(); });
    double exposed = 0;
    const double whole = timed([&] { exposed = in_place.step(2 * alone); });
    exposed = slowest(exposed);
    if (i < 0) continue;
    result["allreduce_seconds"].push_back(allreduce);
    result["seconds"].push_back(alone);
    result["own_f32_seconds"].push_back(own);
    result["own_bf16_seconds"].push_back(half);
    result["overlapped_seconds"].push_back(whole);
    result["exposed_seconds"].push_back(exposed);
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  if (argc != 4) {
    std::fprintf(stderr, "usage: sync_bench MIB PARAMETERS REPETITIONS\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  try {
    int rank = 0;
    int ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    auto result = run(std::strtoull(argv[1], nullptr, 10) << 20,
                      std::strtoull(argv[2], nullptr, 10), std::atoi(argv[3]));
    result["ranks"] = ranks;
    if (rank == 0) std::printf("%s\n", result.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sync_bench: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}
