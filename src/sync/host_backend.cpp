#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/huge_pages.hpp"
#include "cuda/gradients.hpp"
#include "sync/sync.hpp"

namespace faro::sync {
namespace {

/// Host memory for floats, aligned for vectors, zeros at first.
struct Free {
  void operator()(float* memory) const noexcept { std::free(memory); }
};
using Floats = std::unique_ptr<float[], Free>;

Floats take(std::uint64_t elements) {
  const auto bytes = align_up(elements * sizeof(float), 4096);
  Floats memory(static_cast<float*>(std::aligned_alloc(4096, bytes)));
  if (!memory) throw std::bad_alloc();
  huge_pages({reinterpret_cast<std::byte*>(memory.get()), bytes});
  std::memset(memory.get(), 0, bytes);
  return memory;
}

/// What a rank gives is not written to by the sum: MPI libraries take slower algorithms in place.
class HostBackend final : public Backend {
 public:
  HostBackend(std::span<const GradientParameter> parameters, const Layout& layout,
              comm::Communicator& comm)
      : parameters_(parameters), layout_(layout), comm_(comm), memory_(std::make_unique<Memory>()) {
    for (const auto& bucket : layout.buckets) {
      memory_->mine.push_back(take(bucket.elements + Note::elements));
      memory_->sums.push_back(take(bucket.elements + Note::elements));
    }
    memory_->operations.resize(layout.buckets.size());
  }
  HostBackend(const HostBackend&) = delete;
  HostBackend& operator=(const HostBackend&) = delete;
  ~HostBackend() override {
    if (abandoned_) static_cast<void>(memory_.release());
  }

  std::span<float> storage(std::size_t parameter) override {
    const auto& place = layout_.places[parameter];
    return {memory_->mine[place.bucket].get() + place.offset, parameters_[parameter].elements};
  }

  void put(std::size_t parameter, float scale) override {
    const auto& what = parameters_[parameter];
    float* to = storage(parameter).data();
    const void* from = what.gradient == nullptr ? to : what.gradient;
    if (from == to && scale == 1) return;
    cuda::run(cuda::Widen{from, to, what.elements, stored_as(what.type), scale});
  }

  void start(std::size_t bucket, const Note& mine, bool empty) override {
    const auto elements = layout_.buckets[bucket].elements;
    if (empty && !memory_->empty) {
      const auto most = std::ranges::max(layout_.buckets, {}, &Bucket::elements).elements;
      memory_->empty = take(most + Note::elements);
    }
    float* from = empty ? memory_->empty.get() : memory_->mine[bucket].get();
    if (empty) std::fill_n(from, elements, 0.0F);
    const std::array note{mine.weight, mine.failed, mine.left};
    std::ranges::copy(note, from + elements);
    float* to = memory_->sums[bucket].get();
    constexpr std::uint64_t most = comm::Communicator::max_message / sizeof(float);
    for (std::uint64_t at = 0, all = elements + Note::elements; at < all; at += most) {
      const auto count = std::min(most, all - at);
      memory_->operations[bucket].push_back(comm_.start_sum({from + at, count}, {to + at, count}));
    }
  }

  std::optional<Note> done(std::size_t bucket) override {
    auto& operations = memory_->operations[bucket];
    std::erase_if(operations, [](const auto& operation) { return operation->done(); });
    if (!operations.empty()) return std::nullopt;
    const float* note = memory_->sums[bucket].get() + layout_.buckets[bucket].elements;
    return Note{note[0], note[1], note[2]};
  }

  void get(std::size_t bucket, float divisor) override {
    for (const auto parameter : layout_.buckets[bucket].parameters) {
      const auto& what = parameters_[parameter];
      const float* from = memory_->sums[bucket].get() + layout_.places[parameter].offset;
      void* to = what.gradient == nullptr ? storage(parameter).data() : what.gradient;
      cuda::run(cuda::Narrow{from, to, what.elements, stored_as(what.type), divisor});
    }
  }

  // Destroying an operation waits for it, which may be for ever.
  void abandon() noexcept override { abandoned_ = true; }

  std::string name() const override { return "MPI_Iallreduce in host memory"; }

 private:
  std::span<const GradientParameter> parameters_;
  const Layout& layout_;
  comm::Communicator& comm_;
  struct Memory {
    std::vector<Floats> mine;  // by bucket: what this rank gives
    std::vector<Floats> sums;
    Floats empty;
    std::vector<std::vector<std::unique_ptr<comm::Operation>>> operations;  // by bucket
  };
  std::unique_ptr<Memory> memory_;
  bool abandoned_ = false;
};

}  // namespace

std::unique_ptr<Backend> make_host_backend(std::span<const GradientParameter> parameters,
                                           const Layout& layout, comm::Communicator& comm) {
  return std::make_unique<HostBackend>(parameters, layout, comm);
}

}  // namespace faro::sync
