// GradientSync on GPUs, beside plain all-reduces of NCCL's of the same buckets.
//
//     mpirun -n RANKS sync_device_bench MIB PARAMETERS REPETITIONS [DEVICE]
//
// A GPU a rank: DEVICE, or the rank's number modulo the number of GPUs. Gradients of MIB in all
// (f32), in PARAMETERS of as many elements. In turn, REPETITIONS times: NCCL's all-reduces, one
// bucket after the other; a step whose gradients live in their buckets and are ready at once; the
// same with gradients of the caller's own, f32 and bf16; a backward pass made of copies that takes
// at least twice as long, alone; and with a step's ready() in it. Rank 0 prints one line of JSON:
// the seconds of the slowest rank. Without a GPU it says so and ends well.
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "cuda/backend.hpp"
#include "cuda/nccl.hpp"
#include "faro/gradient_sync.hpp"

namespace {

using namespace faro;
using Clock = std::chrono::steady_clock;

/// The GPU, and the stream of the backward pass.
struct Gpu {
  explicit Gpu(int number)
      : device(cuda::open_device(number)),
        stream(device->make_stream()),
        end(device->make_event()) {}
  /// Until all that is on the stream is done.
  void synchronise() const {
    stream->record(*end);
    end->wait();
  }

  std::shared_ptr<cuda::Device> device;
  std::unique_ptr<cuda::Stream> stream;
  std::unique_ptr<cuda::Event> end;
};

template <class Work>
double timed(const Gpu& gpu, const Work& work) {
  gpu.synchronise();
  MPI_Barrier(MPI_COMM_WORLD);
  const auto start = Clock::now();
  work();
  gpu.synchronise();
  const double mine = std::chrono::duration<double>(Clock::now() - start).count();
  double all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return all;
}

class Model {
 public:
  /// \param size bytes of an element of gradients of the caller's own; 0: they live in buckets
  Model(const Gpu& gpu, std::size_t parameters, std::size_t elements, GradientType type,
        std::size_t size) {
    std::vector<GradientParameter> all;
    for (std::size_t i = 0; i < parameters; ++i) {
      memory_.push_back(gpu.device->allocate(elements * size));
      all.push_back({"p" + std::to_string(i), size > 0 ? memory_.back()->bytes().data() : nullptr,
                     elements, type});
    }
    GradientSyncOptions options;
    options.device = gpu.device->number();
    options.stream = gpu.stream->native();
    sync_.emplace(all, options);
  }

  /// \param backward puts the work on the stream whose result is that parameter's gradient
  template <class Backward>
  void step(const Backward& backward) {
    sync_->set_weight(64);
    for (std::size_t i = memory_.size(); i-- > 0;) {
      backward();
      sync_->ready(i);
    }
    sync_->wait();
  }
  void step() {
    step([] {});
  }

 private:
  std::vector<std::unique_ptr<cuda::Memory>> memory_;
  std::optional<GradientSync> sync_;
};

/// As GradientSync lays buckets out: the first of 1 MiB, the others of 25.
class Plain {
 public:
  Plain(const Gpu& gpu, std::size_t elements, int rank, int ranks)
      : gpu_(gpu), memory_(gpu.device->allocate(elements * sizeof(float))) {
    cuda::CollectiveId id{};
    if (rank == 0) id = cuda::make_collective_id();
    MPI_Bcast(id.data(), static_cast<int>(id.size()), MPI_BYTE, 0, MPI_COMM_WORLD);
    collective_ = cuda::make_collective(*gpu.device, id, ranks, rank, 60);
    gpu.stream->zero(memory_->bytes().data(), memory_->bytes().size());
  }
  void step() {
    const std::span values(reinterpret_cast<float*>(memory_->bytes().data()),
                           memory_->bytes().size() / sizeof(float));
    for (std::size_t at = 0, count = first; at < values.size(); at += count, count = others) {
      count = std::min(count, values.size() - at);
      collective_->all_reduce(values.subspan(at, count), *gpu_.stream);
    }
  }

 private:
  static constexpr std::size_t first = (1U << 20) / sizeof(float);
  static constexpr std::size_t others = (25U << 20) / sizeof(float);
  const Gpu& gpu_;
  std::unique_ptr<cuda::Memory> memory_;
  std::unique_ptr<cuda::Collective> collective_;
};

nlohmann::ordered_json run(const Gpu& gpu, std::size_t bytes, std::size_t parameters,
                           int repetitions, int rank, int ranks) {
  const auto elements = bytes / sizeof(float) / parameters;
  Plain plain(gpu, elements * parameters, rank, ranks);
  Model in_place(gpu, parameters, elements, GradientType::f32, 0);
  Model f32(gpu, parameters, elements, GradientType::f32, 4);
  Model bf16(gpu, parameters, elements, GradientType::bf16, 2);
  const auto work = gpu.device->allocate(64U << 20);
  std::size_t copies = 1;  // a parameter's
  const auto backward = [&] {
    const auto half = work->bytes().size() / 2;
    for (std::size_t i = 0; i < copies; ++i) {
      gpu.stream->copy(work->bytes().data(), work->bytes().data() + half, half);
    }
  };
  const auto whole_backward = [&] {
    for (std::size_t i = 0; i < parameters; ++i) backward();
  };
  nlohmann::ordered_json result{{"bytes", elements * parameters * sizeof(float)}};
  for (int i = -2; i < repetitions; ++i) {  // two to warm up
    const double allreduce = timed(gpu, [&] { plain.step(); });
    const double alone = timed(gpu, [&] { in_place.step(); });
    const double own = timed(gpu, [&] { f32.step(); });
    const double half = timed(gpu, [&] { bf16.step(); });
    double compute = timed(gpu, whole_backward);
    for (; compute < 2 * alone && copies < 4096; compute = timed(gpu, whole_backward)) copies *= 2;
    const double overlapped = timed(gpu, [&] { in_place.step(backward); });
    if (i < 0) continue;
    result["allreduce_seconds"].push_back(allreduce);
    result["seconds"].push_back(alone);
    result["own_f32_seconds"].push_back(own);
    result["own_bf16_seconds"].push_back(half);
    result["backward_seconds"].push_back(compute);
    result["overlapped_seconds"].push_back(overlapped);
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr, "usage: sync_device_bench MIB PARAMETERS REPETITIONS [DEVICE]\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  int rank = 0;
  int ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const auto backend = cuda::probe();
  if (!backend.usable) {
    if (rank == 0) std::printf("{\"skipped\": \"%s\"}\n", backend.why.c_str());
    MPI_Finalize();
    return 0;
  }
  try {
    // NCCL takes two ranks on one GPU for a mistake, unless their hosts are different ones.
    if (ranks > backend.devices) {
      setenv("NCCL_HOSTID", ("faro-bench-" + std::to_string(rank)).c_str(), 0);
    }
    const Gpu gpu(argc == 5 ? std::atoi(argv[4]) : rank % backend.devices);
    auto result = run(gpu, std::strtoull(argv[1], nullptr, 10) << 20,
                      std::strtoull(argv[2], nullptr, 10), std::atoi(argv[3]), rank, ranks);
    result["ranks"] = ranks;
    result["device"] = gpu.device->name();
    if (rank == 0) std::printf("%s\n", result.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sync_device_bench: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}
