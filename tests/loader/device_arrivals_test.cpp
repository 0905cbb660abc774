// What the host need not see of a sample that arrives in a device's memory.
#include "loader/device_arrivals.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "base/error.hpp"

namespace faro::loader {
namespace {

/// Two fields of a sample, of 100 and 200 bytes, and a key that is no part of it.
class Fixed final : public format::Format {
 public:
  std::string_view name() const override { return "fixed"; }
  void scan(format::Source&, format::Ends, format::SampleSink&) const override {}
  void fields(std::span<const std::byte> bytes, std::uint64_t, bool,
              format::ParsedSample& out) const override {
    check(bytes.size() == 400, ErrorCode::format, "not a whole sample");
    out.clear();
    out.fields = {{"small", bytes.subspan(30, 100)},
                  {"large", bytes.subspan(150, 200)},
                  {"key", std::as_bytes(std::span(key))}};
  }
  std::array<char, 1000> key{};
};

TensorSpec spec(const std::string& field, std::uint64_t bytes) {
  TensorSpec spec;
  spec.name = "of_" + field;
  spec.field = field;
  spec.decode = Decode::raw;
  spec.shape = {bytes};
  spec.type = Type::f32;
  return spec;
}

TensorSpec label_of(const std::string& field) {
  TensorSpec spec;
  spec.name = "label_of_" + field;
  spec.field = field;
  spec.decode = Decode::label;
  return spec;
}

std::pair<std::uint64_t, std::uint64_t> hidden(const std::vector<TensorSpec>& specs,
                                               std::span<const std::byte> bytes) {
  const Fixed format;
  std::vector<transform::Program> programs;
  for (const auto& one : specs) programs.emplace_back(one, 1000);
  const auto result = make_hide(format, std::move(programs))({bytes, {}}, 0, true);
  return {result.begin, result.length};
}

using Part = std::pair<std::uint64_t, std::uint64_t>;

TEST(Hide, WhatAKernelAloneReads) {
  const std::vector<std::byte> sample(400);
  EXPECT_EQ(hidden({spec("small", 100), spec("large", 200)}, sample), Part(150, 200));
  EXPECT_EQ(hidden({spec("small", 100), label_of("large")}, sample), Part(30, 100));
  EXPECT_EQ(hidden({label_of("small"), spec("small", 100), label_of("large")}, sample), Part(0, 0));
  EXPECT_EQ(hidden({label_of("small")}, sample), Part(150, 200)) << "nobody reads the large one";
}

TEST(Hide, NothingThatTheHostMustExplain) {
  const std::vector<std::byte> sample(400);
  EXPECT_EQ(hidden({label_of("small"), spec("large", 199)}, sample), Part(0, 0)) << "not its size";
  EXPECT_EQ(hidden({spec("large", 200)}, std::span(sample).first(399)), Part(0, 0)) << "cut off";
}

TEST(Hide, TheHeadOfAnArrayIsSeen) {
  std::vector<std::byte> sample(400);

  std::string head("\x93NUMPY\x01\x00", 8);
  std::string dict = "{'descr': '|u1', 'fortran_order': False, 'shape': (72,), }";
  dict.resize(117, ' ');
  dict += '\n';
  head += static_cast<char>(dict.size());
  head += '\0';
  head += dict;
  std::memcpy(sample.data() + 150, head.data(), head.size());
  auto array = spec("large", 72);
  array.decode = Decode::npy;
  EXPECT_EQ(hidden({label_of("small"), array}, sample), Part(150 + head.size(), 200 - head.size()));
}

}  // namespace
}  // namespace faro::loader
