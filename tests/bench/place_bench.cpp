// From the store to tensors, as fast as it goes, and plain copies of as many bytes to where the
// tensors are: from page-locked memory to a GPU, or memcpy. Driven by place.py.
//
//     place_bench RUN.toml [--device host|cuda]
//
// The consumer waits until a batch's tensors are there and gives it back; meanwhile it holds the
// next one, so that a GPU need not wait for the consumer. Prints one line of JSON: of each epoch
// the bytes of its samples as they are stored, seconds of the slowest rank, CPU seconds of all; and
// the copies, all ranks at once.
#include <algorithm>
#include <cstring>
#include <vector>

#include "tensor_run.hpp"

namespace faro::bench {
namespace {

nlohmann::ordered_json run_epoch(TensorLoader& loader, Place& place) {
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  std::optional<TensorBatch> before;
  while (auto batch = loader.next()) {
    if (before) place.wait_for(*before);
    before = std::move(batch);
  }
  if (before) place.wait_for(*before);
  before.reset();
  const auto seconds = seconds_since(start);
  const auto bytes = static_cast<double>(loader.epoch_stats().bytes);
  return {{"bytes", over_ranks(bytes, MPI_SUM)},
          {"seconds", over_ranks(seconds, MPI_MAX)},
          {"cpu_seconds", over_ranks(cpu_seconds() - cpu, MPI_SUM)}};
}

/// Memory that is not in the caches, as an arena's, to a ring of batches.
class Copies {
 public:
  Copies(Place& place, std::uint64_t batch) : place_(place), batch_(batch) {
    if (auto* device = place.device()) {
      memories_.push_back(device->allocate_pinned(source_bytes));
      memories_.push_back(device->allocate(ring * batch));
      from_ = memories_[0]->bytes();
      to_ = memories_[1]->bytes();
    } else {
      host_.resize(source_bytes + ring * batch);
      from_ = std::span(host_).first(source_bytes);
      to_ = std::span(host_).subspan(source_bytes);
    }
    std::ranges::fill(from_, std::byte{1});
  }

  /// Seconds for as many bytes.
  double run(std::uint64_t bytes) {
    MPI_Barrier(MPI_COMM_WORLD);
    const auto start = Clock::now();
    for (std::uint64_t at = 0; at < bytes; at += batch_) {
      const auto count = std::min(batch_, bytes - at);
      auto* to = to_.data() + at / batch_ % ring * batch_;
      const auto* from = from_.data() + at / batch_ % (source_bytes / batch_) * batch_;
      if (place_.device() != nullptr) {
        place_.stream().copy(to, from, count);
      } else {
        std::memcpy(to, from, count);
      }
    }
    if (place_.device() != nullptr) place_.wait();
    return over_ranks(seconds_since(start), MPI_MAX);
  }

  static constexpr std::uint64_t source_bytes = 256U << 20;

 private:
  static constexpr std::uint64_t ring = 2;
  Place& place_;
  std::uint64_t batch_;
  std::vector<std::unique_ptr<cuda::Memory>> memories_;
  std::vector<std::byte> host_;
  std::span<std::byte> from_;
  std::span<std::byte> to_;
};

nlohmann::ordered_json run_copies(Place& place, std::uint64_t bytes, std::uint64_t batch) {
  Copies copies(place, std::min(batch, Copies::source_bytes));
  nlohmann::ordered_json result{{"bytes", over_ranks(static_cast<double>(bytes), MPI_SUM)}};
  copies.run(bytes);  // touches what it writes
  for (int i = 0; i < 5; ++i) result["seconds"].push_back(copies.run(bytes));
  return result;
}

nlohmann::ordered_json run(const Run& given) {
  nlohmann::ordered_json result;
  std::optional<Place> place;
  std::uint64_t bytes = 0;
  std::uint64_t steps = 1;
  {
    TensorLoader loader(given.config, given.tensors);
    place.emplace(loader.device());
    steps = loader.plan().steps;
    check(steps > 0, ErrorCode::invalid_argument, "an epoch has no step: lower global_batch");
    result = {{"device", loader.tensor_plan().device},
              {"threads", loader.tensor_plan().threads},
              {"resident", loader.plan().resident}};
    while (loader.begin_epoch()) result["epochs"].push_back(run_epoch(loader, *place));
    bytes = loader.epoch_stats().bytes;
  }
  result["copies"] = run_copies(*place, bytes, bytes / steps);
  return result;
}

}  // namespace
}  // namespace faro::bench

int main(int argc, char** argv) {
  CLI::App app("Batches from the store to where they are used, beside plain copies");
  const faro::bench::Arguments arguments(app);
  CLI11_PARSE(app, argc, argv);
  return faro::bench::run_with_mpi("place_bench",
                                   [&] { return faro::bench::run(arguments.load()); });
}
