// One suite for every kind of memory: the host's, an emulated device's with several orders of its
// work, and a real device's where there is one.
#include <dlpack/dlpack.h>
#include <gtest/gtest.h>

#include "support.hpp"

namespace faro::test {
namespace {

using How = Placed::How;

class Everywhere : public testing::TestWithParam<Memory> {
 protected:
  void SetUp() override {
    const auto backend = cuda::probe();
    if (GetParam().kind == Memory::Kind::cuda && !backend.usable) {
      GTEST_SKIP() << "no CUDA device to place tensors on: " << backend.why;
    }
  }
};
class Devices : public Everywhere {};

TensorSpec spec_of(std::string name, std::string field, Decode decode) {
  TensorSpec spec;
  spec.name = std::move(name);
  spec.field = std::move(field);
  spec.decode = decode;
  return spec;
}

/// A field of each kind, and tensors of every way to make them.
std::vector<TensorSpec> every_spec() {
  static const bool registered = [] {
    register_transform("placement_test.noise", [](std::span<float> values, auto, auto& draw) {
      for (auto& value : values) value += static_cast<float>(draw());
    });
    return true;
  }();
  static_cast<void>(registered);
  std::vector<TensorSpec> specs;
  auto image = spec_of("crops", "png", Decode::png);
  image.channels = 3;
  image.type = Type::f16;
  image.layout = Layout::nchw;
  image.steps = {RandomResizedCrop{8, 6}, HorizontalFlip{}, Normalise{{0.5}, {0.25}, {}}};
  specs.push_back(image);
  image.name = "resized";
  image.channels = 1;
  image.type = Type::u8;
  image.steps = {Resize{9, 5}};
  specs.push_back(image);
  image.name = "user";
  image.field = "other";  // in the memory of an image that a kernel reads it would show
  image.type = Type::f32;
  image.steps = {CentreCrop{7, 7, 0}, Registered{"placement_test.noise"}};
  specs.push_back(image);

  auto copy = spec_of("copy", "raw", Decode::raw);
  copy.shape = {5, 7, 3};
  copy.type = Type::u8;
  specs.push_back(copy);
  auto flipped = copy;
  flipped.name = "flipped";
  flipped.type = Type::bf16;
  flipped.steps = {CentreCrop{3, 5, 0}, HorizontalFlip{}, Normalise{{0.1, 0.2, 0.3}, {0.5}, {}}};
  specs.push_back(flipped);
  auto numbers = spec_of("numbers", "raw", Decode::raw);
  numbers.stored = Type::i32;
  numbers.shape = {26};
  numbers.field = "i32";
  numbers.type = Type::i64;
  specs.push_back(numbers);
  numbers.name = "halves";
  numbers.type = Type::bf16;
  specs.push_back(numbers);

  specs.push_back(spec_of("label", "cls", Decode::label));
  auto rows = spec_of("rows", "rows", Decode::raw);
  rows.stored = Type::u16;
  rows.shape = {3};
  rows.type = Type::f32;
  rows.ragged = Ragged{10, false};
  specs.push_back(rows);
  return specs;
}

Fields sample_of(std::uint64_t number) {
  const auto height = static_cast<std::uint32_t>(8 + number % 7);
  const auto width = static_cast<std::uint32_t>(19 - number % 5);
  return {{"png", grey_png(pixels(number, height, width), height, width)},
          {"other", grey_png(pixels(number + 500, height, width), height, width)},
          {"raw", pixels(number + 1000, 5, 7, 3)},
          {"i32", pixels(number + 2000, 26, 4)},
          {"cls", std::to_string(number % 10)},
          {"rows", pixels(number + 3000, static_cast<std::uint32_t>(number % 11), 6)}};
}

std::vector<Fields> samples_from(std::uint64_t first, std::uint64_t count) {
  std::vector<Fields> samples;
  for (std::uint64_t i = 0; i < count; ++i) samples.push_back(sample_of(first + i));
  return samples;
}

std::string_view field_of(const Fields& sample, const std::string& name) {
  for (const auto& [other, bytes] : sample) {
    if (other == name) return bytes;
  }
  return {};
}

/// What a tensor must hold, by transform/ alone.
std::vector<std::byte> expected(const transform::Program& program, std::span<const Fields> samples,
                                std::uint64_t first, std::uint64_t key) {
  std::vector<std::byte> all;
  transform::Scratch scratch;
  for (std::uint64_t i = 0; i < samples.size(); ++i) {
    const auto field = as_bytes(field_of(samples[i], program.field()));
    std::vector<std::byte> one(program.bytes());
    program.run(field, {key, first + i}, scratch, one.data());
    if (program.ragged()) one.resize(program.length(field) * program.row_bytes());
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

void expect_right(Placed& placed, const TensorBatch& batch, std::span<const Fields> samples,
                  std::uint64_t first, std::uint64_t key) {
  for (const auto& program : placed.programs) {
    const auto& tensor = batch[program.name()];
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data) % 256, 0U);
    EXPECT_EQ(tensor.device, placed.device() != nullptr ? placed.device()->number() : -1);
    EXPECT_EQ(placed.read(batch, tensor), expected(program, samples, first, key))
        << "tensor " << program.name() << " of the batch from sample " << first;
    if (!program.ragged()) continue;
    const auto bytes = placed.read(batch, batch[program.name() + ".offsets"]);
    std::vector<std::int64_t> offsets(bytes.size() / 8);
    std::memcpy(offsets.data(), bytes.data(), bytes.size());
    std::vector<std::int64_t> right{0};
    for (const auto& sample : samples) {
      const auto rows = program.length(as_bytes(field_of(sample, program.field())));
      right.push_back(right.back() + static_cast<std::int64_t>(rows));
    }
    EXPECT_EQ(offsets, right);
  }
}

TEST_P(Everywhere, MakesEveryTensorBitForBit) {
  for (const std::uint32_t threads : {0U, 2U}) {
    for (const bool locked : {true, false}) {
      Placed placed(GetParam(), every_spec(), How{.threads = threads, .locked = locked});
      placed.open();
      std::uint64_t first = 0;
      for (std::uint64_t step = 0; step < 7; ++step) {
        const auto count = step == 5 ? 0 : 8 - step % 3;  // an empty batch among them
        const auto samples = samples_from(first, count);
        auto batch = placed.make(placed.batch(samples, first), 40 + step);
        EXPECT_EQ(batch.size(), count);
        expect_right(placed, batch, samples, first, 40 + step);
        batch.release_after(placed.stream() != nullptr ? placed.stream()->native() : nullptr);
        first += count;
      }
      placed.placement.reset();
      EXPECT_EQ(*placed.given_back, 7);
    }
  }
}

TEST_P(Everywhere, ReadsWhatIsThereAndCannotBeLockedAllTheSame) {
  Placed placed(GetParam(), every_spec(), {});
  if (placed.emulated() != nullptr) placed.emulated()->refuse_locks();
  placed.open();
  const auto samples = samples_from(5, 8);
  const auto batch = placed.make(placed.batch(samples, 5));
  expect_right(placed, batch, samples, 5, 7);
  if (placed.emulated() != nullptr) {
    EXPECT_EQ(*placed.given_back, 1) << "nothing is read in place";
    EXPECT_SAYS(placed.placement->path(), "it was told so");
  }
}

/// An image larger than the memory that is set aside for it is made on the host.
TEST_P(Everywhere, MakesImagesThatAreTooLargeForTheirPlace) {
  auto spec = spec_of("crops", "png", Decode::png);
  spec.channels = 3;
  spec.type = Type::u8;
  spec.steps = {RandomResizedCrop{8, 6}, HorizontalFlip{}};
  Placed placed(GetParam(), {spec}, How{.samples = 4, .max_pixels = 1U << 20});
  placed.open();
  std::vector<Fields> samples;
  for (std::uint64_t i = 0; i < 4; ++i) {
    const std::uint32_t side = i % 2 == 0 ? 9 : 700;
    samples.push_back({{"png", grey_png(pixels(i, side, side), side, side)}});
  }
  if (placed.device() != nullptr) {
    const auto layout = placement::plan_layout(placed.programs, 4, 3, true);
    ASSERT_LT(layout.slot_bytes[0], 700 * 700 * 3);
  }
  const auto batch = placed.make(placed.batch(samples));
  expect_right(placed, batch, samples, 0, 7);
}

TEST_P(Everywhere, ABadSampleIsAnErrorThatNamesIt) {
  Placed placed(GetParam(), every_spec(), How{.threads = 2});
  placed.open();
  auto samples = samples_from(0, 8);
  samples[3][0].second.resize(40);
  samples[6][4].second = "x";
  const auto text = error_of([&] { static_cast<void>(placed.make(placed.batch(samples, 10))); },
                             ErrorCode::format);
  EXPECT_SAYS(text,
              "sample 13 (key13) of shard-7.tar: field 'png', tensor 'crops': not a whole PNG");
  // It may go on: the memory is not lost.
  for (std::uint64_t step = 0; step < 4; ++step) {
    const auto good = samples_from(step * 8, 8);
    const auto batch = placed.make(placed.batch(good, step * 8));
    expect_right(placed, batch, good, step * 8, 7);
  }
}

TEST_P(Everywhere, BadSamplesAreSubstitutedAndCounted) {
  auto specs = every_spec();
  specs.pop_back();  // ragged tensors have no substitutes
  Placed placed(GetParam(), specs, How{.threads = 1, .on_bad_sample = BadSample::skip});
  placed.open();
  auto samples = samples_from(0, 8);
  samples[0][0].second.resize(50);     // the first tensor's field
  samples[4][4].second = "no number";  // the last one's: others of it are made
  samples[7][2].first = "another";     // a pad
  auto right = samples;
  right[0] = right[4] = right[7] = samples[1];
  const auto batch = placed.make(placed.batch(samples, 0, 1));
  EXPECT_EQ(placed.placement->skipped(), 2U) << "pads are counted as what they repeat";
  EXPECT_EQ(placed.skipped.size(), 2U);
  EXPECT_EQ(std::vector<float>(batch.weights().begin(), batch.weights().end()),
            (std::vector<float>{0, 1, 1, 1, 0, 1, 1, 0}));
  for (const auto& program : placed.programs) {
    auto wanted = expected(program, right, 0, 7);
    // Draws are the substitute's.
    const auto one = expected(program, std::span(samples).subspan(1, 1), 1, 7);
    for (const std::size_t bad : {0U, 4U, 7U}) {
      std::ranges::copy(one, wanted.begin() + static_cast<std::ptrdiff_t>(bad * one.size()));
    }
    EXPECT_EQ(placed.read(batch, batch[program.name()]), wanted) << program.name();
  }
}

/// Bad by its own length, or by another field when the rows behind it are made already.
TEST_P(Everywhere, SkippedSamplesHaveNoRows) {
  auto specs = every_spec();
  specs.push_back(specs.back());
  specs.back().name = "cut";
  specs.back().type = Type::u16;
  specs.back().ragged = Ragged{4, true};
  Placed placed(GetParam(), specs, How{.threads = 2, .on_bad_sample = BadSample::skip});
  placed.open();
  auto samples = samples_from(3, 8);
  samples[0][4].second.resize(7);   // no whole number of rows
  samples[2][4].second.resize(66);  // too many of them
  samples[5][0].second.resize(50);  // the image's
  samples[7][3].second = "label";   // the label's
  const auto batch = placed.make(placed.batch(samples, 3));
  EXPECT_EQ(placed.placement->skipped(), 4U);
  for (const auto& program : placed.programs) {
    if (!program.ragged()) continue;
    std::vector<std::byte> wanted;
    std::vector<std::int64_t> begins{0};
    for (const std::size_t i : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
      const bool bad = i == 0 || i == 2 || i == 5 || i == 7;
      const auto rows = bad ? std::vector<std::byte>{}
                            : expected(program, std::span(samples).subspan(i, 1), 3 + i, 7);
      wanted.insert(wanted.end(), rows.begin(), rows.end());
      begins.push_back(begins.back() +
                       static_cast<std::int64_t>(rows.size() / program.row_bytes()));
    }
    const auto& values = batch[program.name()];
    EXPECT_EQ(values.shape, (std::vector<std::int64_t>{begins.back(), 3}));
    EXPECT_EQ(placed.read(batch, values), wanted) << program.name();
    const auto offsets = placed.read(batch, batch[program.name() + ".offsets"]);
    ASSERT_EQ(offsets.size(), begins.size() * sizeof(std::int64_t));
    EXPECT_EQ(std::memcmp(offsets.data(), begins.data(), offsets.size()), 0) << program.name();
  }
}

TEST_P(Everywhere, WhereAllAreBadTensorsAreZeros) {
  Placed placed(GetParam(), every_spec(), How{.on_bad_sample = BadSample::skip});
  placed.open();
  auto samples = samples_from(0, 6);
  for (auto& sample : samples) sample[0].second = "none";
  const auto batch = placed.make(placed.batch(samples));
  EXPECT_EQ(placed.placement->skipped(), 6U);
  for (const auto& program : placed.programs) {
    const auto bytes = placed.read(batch, batch[program.name()]);
    EXPECT_EQ(bytes, std::vector<std::byte>(program.ragged() ? 0 : 6 * program.bytes()))
        << program.name();
  }
}

TEST_P(Everywhere, ABatchThatIsHeldKeepsItsMemory) {
  Placed placed(GetParam(), every_spec(), How{.batches = 2});
  placed.open();
  const auto samples = samples_from(0, 8);
  std::optional<TensorBatch> first = placed.make(placed.batch(samples));
  auto* crops = first->dlpack("crops");
  auto* label = first->dlpack("label");
  const auto& tensor = crops->dl_tensor;
  EXPECT_EQ(tensor.data, (*first)["crops"].data);
  EXPECT_EQ(tensor.device.device_type, placed.device() != nullptr ? kDLCUDA : kDLCPU);
  EXPECT_EQ(tensor.device.device_id, placed.device() != nullptr ? placed.device()->number() : 0);
  if (placed.device() != nullptr) {
    EXPECT_NE(first->event(), nullptr);
    EXPECT_SAYS(error_of([&] { static_cast<void>((*first)["label"].values<std::int64_t>()); },
                         ErrorCode::invalid_argument),
                "lies in the memory of device");
  } else {
    EXPECT_EQ(first->event(), nullptr);
  }
  first.reset();
  label->deleter(label);
  for (std::uint64_t step = 1; step < 5; ++step) {
    const auto others = samples_from(step * 8, 8);
    const auto batch = placed.make(placed.batch(others, step * 8));
    EXPECT_NE(batch["crops"].data, tensor.data);
    expect_right(placed, batch, others, step * 8, 7);
    if (step > 1) continue;
    const auto text = error_of([&] { placed.placement->start(placed.batch(samples), 7); },
                               ErrorCode::invalid_argument);
    EXPECT_SAYS(text, "all 2 tensor batches are held");
  }
  // Longer than the placement.
  placed.placement->settle(1);
  placed.placement.reset();
  Tensor seen;
  seen.type = Type::f16;
  seen.data = tensor.data;
  seen.shape.assign(tensor.shape, tensor.shape + tensor.ndim);
  const auto right = expected(placed.programs[0], samples, 0, 7);
  std::vector<std::byte> bytes(right.size());
  if (placed.device() != nullptr) {
    const auto pinned = placed.device()->allocate_pinned(right.size());
    const auto end = placed.device()->make_event();
    placed.stream()->copy(pinned->bytes().data(), static_cast<std::byte*>(tensor.data),
                          right.size());
    placed.stream()->record(*end);
    end->wait();
    std::copy_n(pinned->bytes().data(), bytes.size(), bytes.data());
  } else {
    std::copy_n(static_cast<std::byte*>(tensor.data), bytes.size(), bytes.data());
  }
  EXPECT_EQ(bytes, right);
  crops->deleter(crops);
}

/// The consumer's work runs when it likes: until then nothing may change what it reads.
void use_memory_again(const Memory& memory, const std::vector<TensorSpec>& specs) {
  Placed placed(memory, specs, How{.batches = 2});
  placed.open();
  auto& device = *placed.device();
  constexpr std::uint64_t steps = 12;
  const auto bytes = placed.programs[0].bytes() * 8;
  const auto seen = device.allocate_pinned(bytes * steps);
  // Two streams of the consumer's read each batch.
  const auto other = device.make_stream();
  const auto twice = device.allocate_pinned(bytes * steps);
  for (std::uint64_t step = 0; step < steps; ++step) {
    auto batch = placed.make(placed.batch(samples_from(step * 8, 8), step * 8));
    const auto* from = static_cast<std::byte*>(batch["crops"].data);
    batch.wait_on(placed.stream()->native());
    placed.stream()->copy(seen->bytes().data() + step * bytes, from, bytes);
    batch.release_after(placed.stream()->native());
    batch.wait_on(other->native());
    other->copy(twice->bytes().data() + step * bytes, from, bytes);
    batch.release_after(other->native());
  }
  const auto end = device.make_event();
  placed.stream()->record(*end);
  end->wait();
  other->record(*end);
  end->wait();
  for (std::uint64_t step = 0; step < steps; ++step) {
    const auto right = expected(placed.programs[0], samples_from(step * 8, 8), step * 8, 7);
    const auto begin = static_cast<std::ptrdiff_t>(step * bytes);
    const auto stop = begin + static_cast<std::ptrdiff_t>(bytes);
    EXPECT_TRUE(std::equal(right.begin(), right.end(), seen->bytes().begin() + begin,
                           seen->bytes().begin() + stop))
        << "step " << step;
    EXPECT_TRUE(std::equal(right.begin(), right.end(), twice->bytes().begin() + begin,
                           twice->bytes().begin() + stop))
        << "step " << step;
  }
}

TEST_P(Devices, MemoryIsUsedAgainAfterTheConsumersWorkAlone) {
  use_memory_again(GetParam(), every_spec());
  auto images = every_spec();
  images.resize(3);  // nothing is read in place, so no lease holds the next batch up
  use_memory_again(GetParam(), images);
}

/// Bytes that the device reads in place are kept until it has; not longer than one more batch.
TEST_P(Devices, ABatchIsGivenBackWhenItIsRead) {
  Placed placed(GetParam(), every_spec(), How{.batches = 4});
  placed.open();
  std::vector<TensorBatch> held;
  for (std::uint64_t step = 0; step < 3; ++step) {
    placed.placement->settle(1);
    EXPECT_GE(*placed.given_back, static_cast<int>(step) - 1);
    held.push_back(placed.make(placed.batch(samples_from(step * 8, 8), step * 8)));
    if (placed.emulated() == nullptr) continue;
    for (int batch = 0; batch < *placed.given_back; ++batch) {
      const auto first = static_cast<std::uint64_t>(batch) * 8;
      const auto right = expected(placed.programs[3], samples_from(first, 8), first, 7);
      const auto* there = held[static_cast<std::size_t>(batch)]["copy"].data;
      EXPECT_EQ(placed.emulated()->read(there, right.size()), right) << "not read as yet";
    }
  }
  for (std::uint64_t step = 0; step < 3; ++step) {
    expect_right(placed, held[step], samples_from(step * 8, 8), step * 8, 7);
  }
  placed.placement->settle(0);
  EXPECT_EQ(*placed.given_back, 3);
}

/// However few of the batches after it are read in place.
TEST_P(Devices, OnlyTheLastBatchIsKept) {
  Placed placed(GetParam(), every_spec(), How{.batches = 4});
  placed.open();
  std::vector<TensorBatch> held;
  for (std::uint64_t step = 0; step < 4; ++step) {
    const std::uint64_t count = step == 0 ? 8 : 0;
    held.push_back(placed.make(placed.batch(samples_from(0, count))));
    placed.placement->settle(1);
    if (step > 0) {
      EXPECT_EQ(*placed.given_back, static_cast<int>(step) + 1);
    }
  }
  expect_right(placed, held[0], samples_from(0, 8), 0, 7);
}

/// Nothing of it is read in place.
TEST_P(Devices, ABatchThatIsDecodedIsGivenBackAtOnce) {
  auto specs = every_spec();
  specs.resize(3);  // images alone
  Placed placed(GetParam(), specs, {});
  placed.open();
  const auto samples = samples_from(0, 8);
  const auto batch = placed.make(placed.batch(samples));
  EXPECT_EQ(*placed.given_back, 1);
  expect_right(placed, batch, samples, 0, 7);
}

TEST_P(Devices, PlansWhatItTakes) {
  Placed placed(GetParam(), every_spec(), {});
  if (placed.emulated() == nullptr) GTEST_SKIP() << "only the emulated device counts its bytes";
  placed.open();
  const auto layout = placement::plan_layout(placed.programs, 8, 3, true);
  EXPECT_EQ(placed.emulated()->pinned_bytes(), layout.pinned_bytes);
  EXPECT_GE(placed.emulated()->device_bytes(), layout.ring_bytes);
  EXPECT_LE(placed.emulated()->device_bytes(), layout.ring_bytes + 16'384) << "tables";
}

TEST_P(Devices, WithoutMemoryThereIsAClearError) {
  Placed placed(GetParam(), every_spec(), {});
  if (placed.emulated() == nullptr) GTEST_SKIP() << "only the emulated device fails on demand";
  for (std::uint64_t n = 1; n <= 4; ++n) {
    placed.emulated()->fail_allocation(n);
    EXPECT_SAYS(error_of([&] { placed.open(); }, ErrorCode::memory), "no memory left");
    EXPECT_EQ(placed.emulated()->device_bytes(), 0U);
    EXPECT_EQ(placed.emulated()->pinned_bytes(), 0U);
  }
  placed.open();
}

/// Whenever it fails, the consumer gets right tensors or Error(device), and then nothing more.
TEST_P(Devices, ADeviceThatFailsIsAnError) {
  if (GetParam().kind == Memory::Kind::cuda) {
    GTEST_SKIP() << "only the emulated device fails on demand";
  }
  std::uint64_t good = 0;
  for (std::uint64_t n = 1; n < 60; n += 3) {
    Placed placed(GetParam(), every_spec(), How{.batches = 2});
    placed.open();
    placed.emulated()->fail_work(n);
    std::optional<Error> error;
    for (std::uint64_t step = 0; step < 6 && !error; ++step) {
      const auto samples = samples_from(step * 8, 8);
      try {
        auto batch = placed.make(placed.batch(samples, step * 8));
        const auto bytes = placed.read(batch, batch["crops"]);
        EXPECT_EQ(bytes, expected(placed.programs[0], samples, step * 8, 7));
        batch.release_after(placed.stream()->native());
        ++good;
      } catch (const Error& caught) {
        error = caught;
      }
    }
    ASSERT_TRUE(error.has_value()) << n;
    EXPECT_EQ(error->code(), ErrorCode::device) << error->what();
    EXPECT_EQ(
        error_of([&] { static_cast<void>(placed.make(placed.batch(samples_from(0, 8)))); }).code(),
        ErrorCode::device);
  }
  EXPECT_GT(good, 0U);
}

INSTANTIATE_TEST_SUITE_P(Placement, Everywhere, testing::ValuesIn(all_memory()), name_of_memory);
INSTANTIATE_TEST_SUITE_P(Placement, Devices, testing::ValuesIn(devices()), name_of_memory);

}  // namespace
}  // namespace faro::test
