// The gather kernel's arithmetic gives the bits that transform/ does, for samples at any address.
#include "cuda/gather.hpp"

#include <gtest/gtest.h>

#include "placement/describe.hpp"
#include "support.hpp"

namespace faro::test {
namespace {

using transform::Draws;

/// By the emulated device, which runs what the kernel's threads do, and by a real one.
class Gather : public testing::TestWithParam<Memory> {
 protected:
  void SetUp() override {
    if (GetParam().kind == Memory::Kind::emulated) {
      device_ = std::make_shared<EmulatedDevice>(GetParam().seed);
    } else if (const auto backend = cuda::probe(); backend.usable) {
      device_ = cuda::open_device(0);
    } else {
      GTEST_SKIP() << "no CUDA device to run the kernel on: " << backend.why;
    }
  }
  void compare(const TensorSpec& spec, std::span<const std::string> fields);

 private:
  std::shared_ptr<cuda::Device> device_;
};

/// Page-locked memory in which nothing but the samples is, at odd addresses.
class Source {
 public:
  Source(cuda::Device& device, std::uint64_t bytes) : memory_(device.allocate_pinned(bytes)) {}
  std::span<std::byte> room(std::uint64_t bytes) {
    used_ = align_up(used_, 16) + 17 + used_ / 16 % 15;
    const auto room = memory_->bytes().subspan(used_, bytes);
    used_ += bytes;
    return room;
  }
  std::span<const std::byte> put(std::span<const std::byte> bytes) {
    const auto to = room(bytes.size());
    std::ranges::copy(bytes, to.begin());
    return to;
  }

 private:
  std::unique_ptr<cuda::Memory> memory_;
  std::uint64_t used_ = 0;
};

/// A batch of fields by the kernel, and by transform/.
void Gather::compare(const TensorSpec& spec, std::span<const std::string> fields) {
  SCOPED_TRACE(spec.name);
  const transform::Program program(spec, 1U << 24);
  ASSERT_FALSE(program.needs_host());
  constexpr std::uint64_t image = 4096;  // at most, decoded
  std::uint64_t taken = 2 * program.bytes() + 4096;
  for (const auto& field : fields) taken += field.size() + image + 256;
  Source source(*device_, taken);

  std::vector<transform::Scratch> scratch(fields.size());
  std::vector<cuda::GatherSample> samples;
  std::vector<std::byte> right;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const Draws draws{77, i};
    const auto field = source.put(as_bytes(fields[i]));
    right.resize(right.size() + program.bytes());
    program.run(field, draws, scratch[i], right.data() + i * program.bytes());
    const auto room = source.room(image);
    scratch[i].pixels.given = {reinterpret_cast<std::uint8_t*>(room.data()), room.size()};
    samples.push_back(placement::describe(program, program.decode(field, draws, scratch[i])));
  }
  // One that is made already, and one that is not.
  const std::vector<std::byte> made(right.begin(),
                                    right.begin() + static_cast<std::ptrdiff_t>(program.bytes()));
  samples.push_back(placement::describe(source.put(made)));
  right.insert(right.end(), made.begin(), made.end());
  samples.emplace_back();
  right.resize(right.size() + program.bytes());

  const auto brought = [&](std::span<const std::byte> bytes) {
    auto memory = device_->allocate_pinned(std::max<std::uint64_t>(bytes.size(), 1));
    std::ranges::copy(bytes, memory->bytes().begin());
    return memory;
  };
  const auto constants = placement::constants_of(program);
  const auto numbers = brought(constants.bytes);
  const auto notes = brought(std::as_bytes(std::span(samples)));
  const auto bytes = align_up(right.size(), 16);
  const auto out = device_->allocate_pinned(bytes + 16);
  std::ranges::fill(out->bytes(), std::byte{0xee});
  auto work = placement::gather_of(program, constants, numbers->bytes().data());
  work.samples = reinterpret_cast<const cuda::GatherSample*>(notes->bytes().data());
  work.count = samples.size();
  work.to = out->bytes().data();
  const auto stream = device_->make_stream();
  const auto end = device_->make_event();
  stream->gather(work);
  stream->record(*end);
  end->wait();

  for (std::size_t i = 0; i < right.size(); ++i) {
    ASSERT_EQ(out->bytes()[i], right[i]) << "byte " << i << " of " << program.bytes()
                                         << " a sample, type " << to_string(program.type());
  }
  for (auto i = right.size(); i < bytes; ++i) ASSERT_EQ(out->bytes()[i], std::byte{0});
  for (auto i = bytes; i < bytes + 16; ++i) ASSERT_EQ(out->bytes()[i], std::byte{0xee});
}

TensorSpec spec_of(const std::string& name, Decode decode, std::vector<std::uint64_t> shape) {
  TensorSpec spec;
  spec.name = name;
  spec.field = "data";
  spec.decode = decode;
  spec.shape = std::move(shape);
  return spec;
}

std::vector<std::string> blobs(std::uint64_t count, std::uint64_t bytes) {
  std::vector<std::string> fields;
  for (std::uint64_t i = 0; i < count; ++i) {
    fields.push_back(pixels(i, 1, static_cast<std::uint32_t>(bytes)));
  }
  return fields;
}

TEST_P(Gather, CopiesSamplesOfAnySize) {
  for (const std::uint64_t bytes : {1, 3, 15, 16, 17, 31, 48, 105, 784, 3072}) {
    auto spec = spec_of(fmt::format("copy {}", bytes), Decode::raw, {bytes});
    spec.type = Type::u8;
    compare(spec, blobs(7, bytes));
  }
}

TEST_P(Gather, CopiesAndConvertsElementsOfAnyType) {
  constexpr std::array stored{Type::u8,  Type::i8,  Type::u16,  Type::i16, Type::u32, Type::i32,
                              Type::i64, Type::f16, Type::bf16, Type::f32, Type::f64};
  constexpr std::array types{Type::u8, Type::f16, Type::bf16, Type::f32, Type::i64};
  for (const auto from : stored) {
    for (const bool planes : {false, true}) {
      auto spec =
          spec_of(fmt::format("{} planes {}", to_string(from), planes), Decode::raw, {5, 7, 3});
      spec.stored = from;
      spec.type = from;
      spec.layout = planes ? Layout::nchw : Layout::nhwc;
      compare(spec, blobs(5, 105 * size_of(from)));
      for (const auto to : types) {
        const bool whole =
            from != Type::f16 && from != Type::bf16 && from != Type::f32 && from != Type::f64;
        if (to == Type::i64 && !whole) continue;
        spec.type = to;
        compare(spec, blobs(5, 105 * size_of(from)));
        if (to == Type::i64) continue;
        auto normalised = spec;
        normalised.steps = {Normalise{{0.5, 100, -3}, {0.25, 3, 7}, 0.01}};
        compare(normalised, blobs(5, 105 * size_of(from)));
      }
    }
  }
}

TEST_P(Gather, TakesRowsOfAnyLength) {
  for (const auto& shape :
       std::vector<std::vector<std::uint64_t>>{{1}, {9}, {4, 33}, {2, 3, 4, 5}}) {
    auto spec = spec_of(fmt::format("{} dimensions", shape.size()), Decode::raw, shape);
    spec.stored = Type::i16;
    spec.type = Type::bf16;
    std::uint64_t elements = 1;
    for (const auto size : shape) elements *= size;
    compare(spec, blobs(9, 2 * elements));
  }
}

/// Images of several sizes, by every step, type and layout.
TEST_P(Gather, MakesImagesAsTheHostDoes) {
  const std::vector<std::pair<std::string, std::vector<Step>>> ways{
      {"flip", {HorizontalFlip{0.5}}},
      {"crop", {CentreCrop{13, 9, 0}}},
      {"crop, flip", {CentreCrop{13, 9, 0}, HorizontalFlip{0.5}}},
      {"resize", {Resize{11, 17}}},
      {"resize, flip", {Resize{40, 33}, HorizontalFlip{0.5}}},
      {"centre", {CentreCrop{12, 12, 16}, HorizontalFlip{0.5}}},
      {"random", {RandomResizedCrop{9, 15, 0.08, 1, 0.75, 1.33}, HorizontalFlip{0.5}}}};
  for (const auto type : {Type::u8, Type::f16, Type::bf16, Type::f32, Type::i64}) {
    for (const auto layout : {Layout::nhwc, Layout::nchw}) {
      for (const std::uint32_t channels : {1U, 3U}) {
        for (const auto& [name, steps] : ways) {
          const bool computed = name.starts_with("resize") || name == "centre" || name == "random";
          if (type == Type::i64 && computed) continue;
          for (const bool normal : {false, true}) {
            if (normal && type == Type::i64) continue;
            auto spec = spec_of(fmt::format("{}, {} channels, normal {}", name, channels, normal),
                                Decode::raw, {23, 21, channels});
            spec.type = type;
            spec.layout = layout;
            spec.steps = steps;
            if (normal) {
              const std::vector<double> mean{0.485, 0.456, 0.406};
              const std::vector<double> deviation{0.229, 0.224, 0.225};
              spec.steps.push_back(Normalise{{mean.begin(), mean.begin() + channels},
                                             {deviation.begin(), deviation.begin() + channels},
                                             {}});
            }
            compare(spec, blobs(6, std::uint64_t{23} * 21 * channels));
          }
        }
      }
    }
  }
}

TEST_P(Gather, TakesImagesOfSeveralSizesInOneBatch) {
  auto spec = spec_of("png", Decode::png, {});
  spec.channels = 1;
  spec.type = Type::f32;
  spec.steps = {RandomResizedCrop{8, 8, 0.08, 1, 0.75, 1.33}, HorizontalFlip{0.5},
                Normalise{{0.5}, {0.25}, {}}};
  std::vector<std::string> fields;
  for (std::uint32_t i = 0; i < 12; ++i) {
    fields.push_back(grey_png(pixels(i, 8 + i, 40 - 2 * i), 8 + i, 40 - 2 * i));
  }
  compare(spec, fields);
}

INSTANTIATE_TEST_SUITE_P(Kernel, Gather,
                         testing::Values(Memory{Memory::Kind::emulated, 1},
                                         Memory{Memory::Kind::cuda, 0}),
                         name_of_memory);

}  // namespace
}  // namespace faro::test
