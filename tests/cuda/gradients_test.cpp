// Gradients widened into their bucket and narrowed out of it: the values, and that every device has
// the host's bits.
#include "cuda/gradients.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "../support/emulated_device.hpp"
#include "cuda/backend.hpp"

namespace faro::cuda {
namespace {

constexpr std::size_t size_of(Float type) {
  return type == Float::f32 ? 4 : 2;
}

TEST(Gradients, AreScaledOnTheWayIn) {
  const std::vector<float> from{1, -2.5F, 0, 3e38F};
  std::vector<float> to(4, 7);
  run(Widen{from.data(), to.data(), 4, Float::f32, 3});
  EXPECT_EQ(to, (std::vector<float>{3, -7.5F, 0, std::numeric_limits<float>::infinity()}));
  const std::vector<std::uint16_t> halves{f32_to_f16(0.5F), f32_to_f16(-65504)};
  run(Widen{halves.data(), to.data(), 2, Float::f16, 2});
  EXPECT_EQ(to[0], 1);
  EXPECT_EQ(to[1], -131008);
  const std::vector<std::uint16_t> brains{f32_to_bf16(0.5F), f32_to_bf16(-3)};
  run(Widen{brains.data(), to.data(), 2, Float::bf16, 2});
  EXPECT_EQ(to[0], 1);
  EXPECT_EQ(to[1], -6);
}

TEST(Gradients, OfNoWeightAreZerosWhateverTheyHold) {
  std::vector<float> to(3, std::nanf(""));
  run(Widen{to.data(), to.data(), 3, Float::f32, 0});
  EXPECT_EQ(to, std::vector<float>(3));
}

TEST(Gradients, AreDividedAndRoundedOnceOnTheWayOut) {
  // 2049 / 2 = 1024.5: between the halves 1024 and 1025, and even wins.
  const std::vector<float> sums{2049, 2051, 1};
  std::vector<std::uint16_t> to(3);
  run(Narrow{sums.data(), to.data(), 3, Float::f16, 2});
  EXPECT_EQ(f16_to_f32(to[0]), 1024);
  EXPECT_EQ(f16_to_f32(to[1]), 1026);
  EXPECT_EQ(f16_to_f32(to[2]), 0.5F);
  std::vector<float> wide(3);
  run(Narrow{sums.data(), wide.data(), 3, Float::f32, 3});
  EXPECT_EQ(wide[2], 1.0F / 3.0F);
}

/// A device of each kind, and what a piece of work makes of memory there.
class GradientsOn : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      if (const auto backend = probe(); !backend.usable) GTEST_SKIP() << backend.why;
      device_ = open_device(0);
    } else {
      device_ = std::make_shared<test::EmulatedDevice>(3);
    }
    stream_ = device_->make_stream();
    event_ = device_->make_event();
  }

  using Bytes = std::vector<std::byte>;
  /// `in` lies `skip` bytes behind the beginning of its memory, what comes out `skip_out` ones.
  template <class Start>
  Bytes make(const Bytes& in, std::size_t skip, std::size_t out, std::size_t skip_out,
             Start start) {
    const auto pinned = device_->allocate_pinned(std::max(in.size(), out));
    const auto from = device_->allocate(in.size() + skip);
    const auto to = device_->allocate(out + skip_out);
    std::ranges::copy(in, pinned->bytes().begin());
    stream_->copy(from->bytes().data() + skip, pinned->bytes().data(), in.size());
    start(from->bytes().data() + skip, to->bytes().data() + skip_out);
    stream_->copy(pinned->bytes().data(), to->bytes().data() + skip_out, out);
    stream_->record(*event_);
    event_->wait();
    const auto made = pinned->bytes().first(out);
    return {made.begin(), made.end()};
  }

  std::shared_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Event> event_;
};

INSTANTIATE_TEST_SUITE_P(Devices, GradientsOn, testing::Bool(),
                         [](const auto& info) { return info.param ? "cuda" : "emulated"; });

/// All halves, or as many floats: any bits but those of a NaN, which no one promises to keep.
std::vector<std::byte> any_bits(Float type, std::size_t count) {
  std::mt19937 random(5);
  std::vector<std::byte> bytes(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) {
    if (type == Float::f32) {
      float value = 0;
      do {
        value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
      } while (std::isnan(value));
      std::memcpy(bytes.data() + 4 * i, &value, 4);
    } else {
      auto bits = static_cast<std::uint16_t>(i);
      if (std::isnan(type == Float::f16 ? f16_to_f32(bits) : bf16_to_f32(bits))) bits = 0;
      std::memcpy(bytes.data() + 2 * i, &bits, 2);
    }
  }
  return bytes;
}

TEST_P(GradientsOn, WideningGivesTheHostsBits) {
  for (const auto type : {Float::f32, Float::f16, Float::bf16}) {
    for (const std::size_t count : {1, 3, 8, 1023, 65'536}) {
      const auto in = any_bits(type, count);
      for (const float scale : {1.0F, 3.0F, 1e-20F, 0.0F}) {
        std::vector<float> expected(count);
        run(Widen{in.data(), expected.data(), count, type, scale});
        std::vector<std::byte> bytes(count * 4);
        std::memcpy(bytes.data(), expected.data(), bytes.size());
        for (const std::size_t elements : {0, 1, 4}) {  // before it: aligned to 16 bytes or not
          const auto made =
              make(in, elements * size_of(type), count * 4, 0,
                   [&](const std::byte* from, std::byte* to) {
                     stream_->widen({from, reinterpret_cast<float*>(to), count, type, scale});
                   });
          EXPECT_EQ(made, bytes) << count << " of type " << static_cast<int>(type) << " times "
                                 << scale << " behind " << elements;
        }
      }
    }
  }
}

TEST_P(GradientsOn, NarrowingGivesTheHostsBits) {
  for (const auto type : {Float::f32, Float::f16, Float::bf16}) {
    for (const std::size_t count : {1, 3, 8, 1023, 65'536}) {
      const auto in = any_bits(Float::f32, count);
      for (const float divisor : {1.0F, 3.0F, 1e20F}) {
        std::vector<std::byte> expected(count * size_of(type));
        std::vector<float> sums(count);
        std::memcpy(sums.data(), in.data(), in.size());
        run(Narrow{sums.data(), expected.data(), count, type, divisor});
        for (const std::size_t elements : {0, 1, 4}) {
          const auto made = make(
              in, 0, expected.size(), elements * size_of(type),
              [&](const std::byte* from, std::byte* to) {
                stream_->narrow({reinterpret_cast<const float*>(from), to, count, type, divisor});
              });
          EXPECT_EQ(made, expected) << count << " of type " << static_cast<int>(type) << " over "
                                    << divisor << " behind " << elements;
        }
      }
    }
  }
}

}  // namespace
}  // namespace faro::cuda
