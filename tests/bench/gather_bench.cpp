// The gather kernel beside plain copies of as many bytes, in JSON: device memory to device memory,
// where the limit is the memory's traffic (what is read and what is written), and page-locked host
// memory to device memory, where it is the bus (what is read). Where there is no device it says so.
//
//   gather_bench > gather.json
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "base/runtime.hpp"
#include "cuda/backend.hpp"
#include "cuda/device.hpp"
#include "placement/describe.hpp"

namespace faro {
namespace {

constexpr std::uint64_t samples = 256;
constexpr int rounds = 20;
constexpr int repeats = 5;

TensorSpec spec_of(std::string name, std::uint64_t side, Type type, std::vector<Step> steps) {
  TensorSpec spec;
  spec.name = std::move(name);
  spec.field = "data";
  spec.decode = Decode::raw;
  spec.shape = {side, side, 3};
  spec.type = type;
  spec.steps = std::move(steps);
  return spec;
}

std::vector<TensorSpec> cases() {
  const Normalise normalise{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, {}};
  std::vector<TensorSpec> all{spec_of("copy u8", 224, Type::u8, {}),
                              spec_of("u8 to f32, normalised", 224, Type::f32, {normalise}),
                              spec_of("u8 to f16, normalised, nchw", 224, Type::f16, {normalise}),
                              spec_of("crop 224 of 400, flip, f16, nchw", 400, Type::f16,
                                      {RandomResizedCrop{224, 224}, HorizontalFlip{}, normalise})};
  all[2].layout = all[3].layout = Layout::nchw;
  return all;
}

class Bench {
 public:
  explicit Bench(cuda::Device& device)
      : device_(device), stream_(device.make_stream()), end_(device.make_event()) {}

  nlohmann::json run(const TensorSpec& spec, bool on_device, std::uint64_t odd);

 private:
  /// Seconds of one of them: the median of several runs of many.
  template <class Put>
  double seconds(Put put) {
    std::vector<double> times;
    for (int i = 0; i < repeats; ++i) {
      put();  // not measured
      wait();
      const auto start = Clock::now();
      for (int round = 0; round < rounds; ++round) put();
      wait();
      times.push_back(seconds_since(start) / rounds);
    }
    std::ranges::nth_element(times, times.begin() + repeats / 2);
    return times[repeats / 2];
  }
  void wait() {
    stream_->record(*end_);
    end_->wait();
  }
  std::unique_ptr<cuda::Memory> upload(std::span<const std::byte> bytes) {
    auto there = device_.allocate(std::max<std::uint64_t>(bytes.size(), 16));
    const auto staged = device_.allocate_pinned(bytes.size());
    std::ranges::copy(bytes, staged->bytes().begin());
    stream_->copy(there->bytes().data(), staged->bytes().data(), bytes.size());
    wait();
    return there;
  }

  cuda::Device& device_;
  std::unique_ptr<cuda::Stream> stream_;
  std::unique_ptr<cuda::Event> end_;
};

nlohmann::json Bench::run(const TensorSpec& spec, bool on_device, std::uint64_t odd) {
  const transform::Program program(spec, 1U << 24);
  const auto each = program.most_decoded_bytes();
  const auto apart = align_up(each, 256) + odd;
  const auto in = samples * each;
  const auto out = samples * program.bytes();

  const auto pinned = device_.allocate_pinned(samples * apart + 256);
  std::uint32_t state = 1;
  for (auto& byte : pinned->bytes()) byte = std::byte((state = state * 1664525 + 1013904223) >> 24);
  const auto there = upload(pinned->bytes());
  const auto tensor = device_.allocate(align_up(out, 16));

  std::vector<cuda::GatherSample> notes;
  transform::Scratch scratch;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const auto at = i * apart + odd;
    const auto field = pinned->bytes().subspan(at, each);
    auto note = placement::describe(program, program.decode(field, {1, i}, scratch));
    if (on_device) note.from = there->bytes().data() + at;
    notes.push_back(note);
  }
  const auto constants = placement::constants_of(program);
  const auto numbers = upload(constants.bytes);
  const auto told = upload(std::as_bytes(std::span(notes)));
  auto work = placement::gather_of(program, constants, numbers->bytes().data());
  work.samples = reinterpret_cast<const cuda::GatherSample*>(told->bytes().data());
  work.count = samples;
  work.to = tensor->bytes().data();

  const auto bytes = on_device ? (in + out) / 2 : in;
  const auto to = device_.allocate(bytes);
  const auto here = device_.allocate(bytes);
  const auto* from = on_device ? here->bytes().data() : pinned->bytes().data();
  const auto copied = seconds([&] { stream_->copy(to->bytes().data(), from, bytes); });
  const auto gathered = seconds([&] { stream_->gather(work); });
  return {{"case", spec.name},         {"source", on_device ? "device" : "page-locked"},
          {"odd_addresses", odd != 0}, {"read_bytes", in},
          {"written_bytes", out},      {"gather_seconds", gathered},
          {"limit_copy_bytes", bytes}, {"limit_copy_seconds", copied},
          {"ratio", copied / gathered}};
}

int run() {
  const auto backend = cuda::probe();
  if (!backend.usable) {
    fmt::print(stderr, "gather_bench: skipped: {}\n", backend.why);
    return 0;
  }
  const auto device = cuda::open_device(0);
  nlohmann::json report{{"device", device->name()}, {"cuda", backend.why}, {"samples", samples}};
  Bench bench(*device);
  for (const auto& spec : cases()) {
    for (const bool on_device : {true, false}) {
      for (const std::uint64_t odd : {0U, 7U}) {
        report["cases"].push_back(bench.run(spec, on_device, odd));
      }
    }
  }
  fmt::print("{}\n", report.dump(2));
  return 0;
}

}  // namespace
}  // namespace faro

int main() {
  try {
    return faro::run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "gather_bench: {}\n", error.what());
    return 1;
  }
}
