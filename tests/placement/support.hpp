// Placements in every kind of memory that the machine has, and an emulated device's; batches whose
// bytes are known and spoilt when they are given back.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "../support/emulated_device.hpp"
#include "../transform/support.hpp"
#include "batch/batch.hpp"
#include "cuda/backend.hpp"
#include "placement/placement.hpp"

namespace faro::test {

/// Where tensors are placed, and how they are read there.
struct Memory {
  enum class Kind { host, emulated, cuda };
  Kind kind = Kind::host;
  std::uint64_t seed = 0;

  [[nodiscard]] std::string name() const {
    if (kind == Kind::host) return "host";
    return kind == Kind::cuda ? "cuda" : fmt::format("emulated{}", seed);
  }
};

inline std::vector<Memory> devices() {
  std::vector<Memory> all;
  for (std::uint64_t seed = 0; seed < 9; ++seed) all.push_back({Memory::Kind::emulated, seed});
  all.push_back({Memory::Kind::cuda, 0});
  return all;
}

inline std::vector<Memory> all_memory() {
  auto all = devices();
  all.insert(all.begin(), Memory{});
  return all;
}

inline std::string name_of_memory(const testing::TestParamInfo<Memory>& info) {
  return info.param.name();
}

/// Samples in memory of their own, at odd addresses: the loader's arena, as it were.
class Arena {
 public:
  Arena() {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(at != MAP_FAILED, ErrorCode::memory, "no memory for a test's samples");
    memory_ = {static_cast<std::byte*>(at), bytes};
  }
  ~Arena() { munmap(memory_.data(), memory_.size()); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::span<const std::byte> put(std::string_view text) {
    used_ = align_up(used_, 16) + 1 + used_ / 16 % 15;
    if (used_ + text.size() > bytes) used_ = 1;
    auto* to = memory_.data() + used_;
    std::ranges::copy(as_bytes(text), to);
    used_ += text.size();
    return {to, text.size()};
  }
  [[nodiscard]] std::span<std::byte> memory() const { return memory_; }

 private:
  static constexpr std::uint64_t bytes = std::uint64_t{8} << 20;
  std::span<std::byte> memory_;
  std::uint64_t used_ = 0;
};

/// A sample's fields by name.
using Fields = std::vector<std::pair<std::string, std::string>>;

/// A batch of samples in the arena. When it is given back its bytes are spoilt, so that who reads
/// them later sees it, and `given_back` is counted up.
inline Batch make_batch(Arena& arena, std::span<const Fields> samples, std::uint64_t first,
                        std::shared_ptr<int> given_back, std::uint64_t pads = 0) {
  auto impl = std::make_unique<Batch::Impl>();
  auto all = std::make_shared<std::vector<std::span<const std::byte>>>();
  std::uint64_t fields = 0;
  for (const auto& sample : samples) fields += sample.size();
  impl->fields.reserve(fields);
  impl->local.step = first;
  for (std::uint64_t i = 0; i < samples.size(); ++i) {
    impl->texts.push_back(std::make_unique<std::string>(fmt::format("key{}", first + i)));
    Sample sample;
    sample.number = first + i;
    sample.key = *impl->texts.back();
    sample.pad = i + pads >= samples.size();
    const auto begin = impl->fields.size();
    for (const auto& [name, bytes] : samples[i]) {
      impl->texts.push_back(std::make_unique<std::string>(name));
      all->push_back(arena.put(bytes));
      impl->fields.push_back({*impl->texts.back(), all->back()});
    }
    sample.fields = std::span(impl->fields).subspan(begin);
    impl->samples.push_back(sample);
  }
  impl->release = [all, given_back = std::move(given_back)] {
    for (const auto bytes : *all) {
      std::fill_n(const_cast<std::byte*>(bytes.data()), bytes.size(), std::byte{0x5a});
    }
    ++*given_back;
  };
  return Batch(std::move(impl));
}

/// A placement under test.
class Placed {
 public:
  struct How {
    std::uint64_t samples = 8;
    std::uint64_t batches = 3;
    std::uint32_t threads = 0;
    BadSample on_bad_sample = BadSample::error;
    bool locked = true;  ///< the arena may be read in place
    std::uint64_t max_pixels = 1U << 16;
  };
  Placed(const Memory& memory, std::vector<TensorSpec> specs, const How& how)
      : how_(how), specs_(std::move(specs)) {
    if (memory.kind == Memory::Kind::emulated) {
      emulated_ = std::make_shared<EmulatedDevice>(memory.seed, 2);
      device_ = emulated_;
    } else if (memory.kind == Memory::Kind::cuda) {
      device_ = cuda::open_device(0);
    }
  }
  ~Placed() {
    placement.reset();
    stream_.reset();
  }
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;

  /// Takes the memory.
  void open() {
    placement::Options options;
    for (const auto& spec : specs_) options.programs.emplace_back(spec, how_.max_pixels);
    options.layout =
        placement::plan_layout(options.programs, how_.samples, how_.batches, device_ != nullptr);
    options.threads = how_.threads;
    options.on_bad_sample = how_.on_bad_sample;
    options.shard_of = [](std::uint64_t) { return "shard-7.tar"; };
    options.skipped = [this](const std::string& line) { skipped.push_back(line); };
    programs = options.programs;
    std::vector<std::span<std::byte>> readable;
    if (how_.locked) readable.push_back(arena.memory());
    placement = device_ ? placement::make_device(std::move(options), device_, readable)
                        : placement::make_host(std::move(options));
    if (device_) stream_ = device_->make_stream();
  }

  TensorBatch make(Batch batch, std::uint64_t key = 7) {
    placement->settle(1);
    placement->start(std::move(batch), key);
    return placement->finish();
  }
  Batch batch(std::span<const Fields> samples, std::uint64_t first = 0, std::uint64_t pads = 0) {
    return make_batch(arena, samples, first, given_back, pads);
  }

  /// A tensor's bytes, as work that is put on the consumer's stream sees them.
  std::vector<std::byte> read(const TensorBatch& batch, const Tensor& tensor) {
    const auto bytes = tensor.elements() * size_of(tensor.type);
    auto* from = static_cast<std::byte*>(tensor.data);
    if (!device_) return {from, from + bytes};
    const auto to = device_->allocate_pinned(bytes);
    const auto end = device_->make_event();
    batch.wait_on(stream_->native());
    stream_->copy(to->bytes().data(), from, bytes);
    stream_->record(*end);
    end->wait();
    return {to->bytes().begin(), to->bytes().begin() + static_cast<std::ptrdiff_t>(bytes)};
  }

  [[nodiscard]] cuda::Device* device() const { return device_.get(); }
  [[nodiscard]] EmulatedDevice* emulated() const { return emulated_.get(); }
  [[nodiscard]] cuda::Stream* stream() const { return stream_.get(); }

  Arena arena;
  std::shared_ptr<int> given_back = std::make_shared<int>(0);
  std::vector<std::string> skipped;
  std::vector<transform::Program> programs;
  std::unique_ptr<placement::Placement> placement;

 private:
  How how_;
  std::vector<TensorSpec> specs_;
  std::shared_ptr<EmulatedDevice> emulated_;
  std::shared_ptr<cuda::Device> device_;
  std::unique_ptr<cuda::Stream> stream_;  // the consumer's
};

}  // namespace faro::test
