// Samples that differ in their first dimension: what is declared, read and refused.
#include "base/half.hpp"
#include "support.hpp"

namespace faro::test {
namespace {

TensorSpec ragged(std::vector<std::uint64_t> row, Type stored, std::uint64_t max_length) {
  TensorSpec spec;
  spec.name = "x";
  spec.field = "data";
  spec.decode = Decode::raw;
  spec.shape = std::move(row);
  spec.stored = stored;
  spec.ragged = Ragged{max_length, false};
  return spec;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// A sample's elements; what lies behind them must stay as it is.
template <class T>
std::vector<T> rows(const TensorSpec& spec, std::string_view field,
                    const transform::Draws& draws = {}) {
  const transform::Program program(spec, 1U << 24);
  const auto length = program.length(as_bytes(field));
  std::vector<T> out(program.bytes() / sizeof(T) + 1, T{77});
  transform::Scratch scratch;
  program.run(as_bytes(field), draws, scratch, reinterpret_cast<std::byte*>(out.data()));
  const auto elements = length * program.row_bytes() / sizeof(T);
  EXPECT_EQ(std::count(out.begin() + static_cast<std::ptrdiff_t>(elements), out.end(), T{77}),
            static_cast<std::ptrdiff_t>(out.size() - elements));
  out.resize(elements);
  return out;
}

std::string npy(const std::string& type, const std::string& shape, const std::string& body) {
  const auto header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n", type, shape);
  std::string file("\x93NUMPY\1\0", 8);
  file += static_cast<char>(header.size());
  file += '\0';
  return file + header + body;
}

TEST(Ragged, ASampleIsItsRows) {
  auto tokens = ragged({}, Type::u16, 5);
  tokens.type = Type::i64;
  const transform::Program program(tokens, 1);
  EXPECT_TRUE(program.ragged());
  EXPECT_EQ(program.shape(), std::vector<std::uint64_t>{});
  EXPECT_EQ(program.row_bytes(), 8U);
  EXPECT_EQ(program.bytes(), 40U);
  EXPECT_EQ(rows<std::int64_t>(tokens, bytes_of<std::uint16_t>({3, 65535, 0})),
            (std::vector<std::int64_t>{3, 65535, 0}));
  EXPECT_EQ(rows<std::int64_t>(tokens, ""), std::vector<std::int64_t>{});
  const std::vector<float> points{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(rows<float>(ragged({3}, Type::f32, 2), bytes_of(points)), points);
}

TEST(Ragged, NpyHasItsOwnLength) {
  auto spec = ragged({2}, Type::i16, 4);
  spec.decode = Decode::npy;
  const auto body = bytes_of<std::int16_t>({1, -2, 3, -4, 5, -6});
  EXPECT_EQ(rows<float>(spec, npy("<i2", "(3, 2)", body)),
            (std::vector<float>{1, -2, 3, -4, 5, -6}));
  EXPECT_EQ(rows<float>(spec, npy("<i2", "(0, 2)", "")), std::vector<float>{});
  const auto refused = [&](const std::string& file) {
    return error_of([&] { rows<float>(spec, file); }, ErrorCode::format);
  };
  EXPECT_SAYS(refused(npy("<i2", "(2, 3)", body)),
              "an array of 2 x 3, and a row of the tensor is 2");
  EXPECT_SAYS(refused(npy("<i2", "(6,)", body)), "an array of 6, and");
  EXPECT_SAYS(refused(npy("<i2", "()", body.substr(0, 2))), "an array of one number, and");
  EXPECT_SAYS(refused(npy("<u2", "(3, 2)", body)), "the tensor's stored type is i16");
  EXPECT_SAYS(refused(npy("<i2", "(5, 2)", body + "12345678")), "5 rows, and max_length is 4");
  EXPECT_SAYS(refused(npy("<i2", "(4, 2)", body)), "has 16 bytes, and 12 follow");
}

TEST(Ragged, WhatIsTooLongIsRefusedOrCut) {
  auto spec = ragged({2}, Type::u8, 2);
  spec.type = Type::u8;
  EXPECT_SAYS(error_of([&] { rows<std::uint8_t>(spec, "abcdef"); }, ErrorCode::format),
              "a sample of 3 rows, and max_length is 2");
  EXPECT_SAYS(error_of([&] { rows<std::uint8_t>(spec, "abc"); }, ErrorCode::format),
              "3 bytes are no whole number of rows: 2 of u8 are 2");
  spec.ragged->truncate = true;
  EXPECT_EQ(rows<std::uint8_t>(spec, "abcdef"), (std::vector<std::uint8_t>{'a', 'b', 'c', 'd'}));
  EXPECT_SAYS(error_of([&] { rows<std::uint8_t>(spec, "abcde"); }, ErrorCode::format),
              "no whole number of rows");
}

TEST(Ragged, StepsSeeTheRowsThatAreThere) {
  register_transform("test_ragged", [](std::span<float> values,
                                       std::span<const std::uint64_t> shape, const UserDraw& draw) {
    EXPECT_EQ(shape.size(), 2U);
    EXPECT_EQ(values.size(), shape[0] * shape[1]);
    for (auto& value : values) value += static_cast<float>(shape[0]) + static_cast<float>(draw());
  });
  auto spec = ragged({2}, Type::u8, 9);
  spec.type = Type::bf16;
  spec.steps = {Normalise{{1, 2}, {2, 4}, 1.0}};
  const std::vector<std::uint8_t> stored{1, 2, 3, 4, 5, 6};
  const auto normal = [&](std::size_t i) {
    return static_cast<float>(stored[i]) * (i % 2 == 0 ? 0.5F : 0.25F) - 0.5F;
  };
  const auto plain = rows<std::uint16_t>(spec, bytes_of(stored));
  spec.steps.emplace_back(Registered{"test_ragged"});
  const transform::Draws draws{3, 4};
  const auto drawn = rows<std::uint16_t>(spec, bytes_of(stored), draws);
  ASSERT_EQ(plain.size(), stored.size());
  ASSERT_EQ(drawn.size(), stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(plain[i], f32_to_bf16(normal(i)));
    const auto word =
        draws.words(transform::Purpose::user, static_cast<std::uint32_t>(i / 4))[i % 4];
    EXPECT_EQ(drawn[i],
              f32_to_bf16(normal(i) + (3 + static_cast<float>(transform::uniform(word)))));
  }
  EXPECT_EQ(rows<std::uint16_t>(spec, "", draws), std::vector<std::uint16_t>{});
}

TEST(Ragged, TomlSaysWhatTheStructSays) {
  const auto config = parse_tensors(R"([[tensor]]
name = "tokens"
field = "tok"
decode = "raw"
stored = "u16"
type = "i64"
ragged = { max_length = 512, truncate = true }
[[tensor]]
name = "points"
field = "pts"
decode = "npy"
shape = [3]
ragged = { max_length = 100 }
)",
                                    "t");
  ASSERT_EQ(config.tensors.size(), 2U);
  EXPECT_EQ(config.tensors[0].ragged->max_length, 512U);
  EXPECT_TRUE(config.tensors[0].ragged->truncate);
  EXPECT_TRUE(config.tensors[0].shape.empty());
  EXPECT_EQ(config.tensors[1].ragged->max_length, 100U);
  EXPECT_FALSE(config.tensors[1].ragged->truncate);
}

TEST(Ragged, WhatIsWrongIsNamed) {
  const std::string head = "[[tensor]]\nname = \"x\"\nfield = \"y\"\n";
  const std::string with = head + "decode = \"raw\"\nragged = { max_length = 4 }\n";
  const auto refused = [](const std::string& text) {
    return error_of([&] { static_cast<void>(parse_tensors(text, "t")); },
                    ErrorCode::invalid_argument);
  };
  EXPECT_SAYS(refused(head + "decode = \"raw\"\nragged = 4"), "t:5: ragged: a table { max_length");
  EXPECT_SAYS(refused(head + "decode = \"raw\"\nragged = {}"), "ragged needs max_length");
  EXPECT_SAYS(refused(head + "decode = \"raw\"\nragged = { max_length = -1 }"),
              "max_length: a whole number");
  EXPECT_SAYS(refused(head + "decode = \"raw\"\nragged = { max_length = 1, truncate = 1 }"),
              "truncate: true or false is wanted");
  EXPECT_SAYS(refused(head + "decode = \"raw\"\nragged = { length = 1 }"),
              "ragged has no key 'length'; it has: max_length truncate");
  EXPECT_SAYS(refused(head + "decode = \"png\"\nshape = [4, 4]\nragged = { max_length = 4 }"),
              "ragged is for raw and npy");
  EXPECT_SAYS(refused(head + "decode = \"label\"\nragged = { max_length = 4 }"),
              "ragged is for raw and npy");
  EXPECT_SAYS(refused(with + "layout = \"nchw\""), "layout nchw is not for ragged samples");
  for (const auto* step : {"random_resized_crop", "resize", "centre_crop"}) {
    EXPECT_SAYS(
        refused(with + "shape = [4, 3]\nsteps = [{ op = \"" + step + "\", size = [2, 2] }]"),
        fmt::format("step {} is not for ragged samples", step));
  }
  EXPECT_SAYS(refused(with + "shape = [4, 3]\nsteps = [{ op = \"horizontal_flip\" }]"),
              "step horizontal_flip is not for ragged samples");
  EXPECT_SAYS(refused(with + "shape = [4000000000, 4000000000]"), "is out of range");
  EXPECT_SAYS(refused(with + "shape = [1099511627776]"), "4 x 1099511627776 is out of range");
  EXPECT_SAYS(refused(with + "shape = [0]"), "is out of range");
  EXPECT_SAYS(refused(with + "stored = \"f32\"\ntype = \"i64\""), "type i64 is for whole numbers");
  EXPECT_SAYS(refused(with + "[[tensor]]\nname = \"x.offsets\"\nfield = \"y\"\ndecode = \"label\""),
              "tensor 'x.offsets': its name is that of the offsets of 'x'");
}

}  // namespace
}  // namespace faro::test
