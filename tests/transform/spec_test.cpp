// Declarations: what TOML says, what is refused and how, and steps of the user's own.
#include "support.hpp"

namespace faro::test {
namespace {

constexpr std::string_view image = R"([[tensor]]
name = "image"
field = "jpg"
)";

std::string refused(const std::string& text, ErrorCode code = ErrorCode::invalid_argument) {
  return error_of([&] { static_cast<void>(parse_tensors(text, "t.toml")); }, code);
}

TEST(Spec, TomlSaysAllThatAStructSays) {
  const auto config = parse_tensors(R"(
epochs = 3                      # a run's own
[tensors]
device = "host"
arrivals = "device"
on_bad_sample = "skip"
transform_threads = 4
max_pixels = 1000000
[[tensor]]
name = "image"
field = "jpg"
decode = "jpeg"
channels = 3
type = "bf16"
layout = "nchw"
steps = [
  { op = "random_resized_crop", size = [224, 192], scale = [0.2, 0.9], ratio = [0.5, 2] },
  { op = "horizontal_flip", probability = 0.25 },
  { op = "normalise", mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225], scale = 0.5 },
]
[[tensor]]
name = "small"
field = "x"
decode = "raw"
shape = [8, 9, 1]
stored = "u8"
type = "i64"
steps = [{ op = "centre_crop", size = [4, 5] }]
[[tensor]]
name = "label"
field = "cls"
decode = "label"
stored = "u16"
classes = 1000
)",
                                    "t.toml");
  EXPECT_EQ(config.device, "host");
  EXPECT_EQ(config.arrivals, "device");
  EXPECT_EQ(config.on_bad_sample, BadSample::skip);
  EXPECT_EQ(config.transform_threads, 4U);
  EXPECT_EQ(config.max_pixels, 1'000'000U);
  ASSERT_EQ(config.tensors.size(), 3U);
  const auto& first = config.tensors[0];
  EXPECT_EQ(first.decode, Decode::jpeg);
  EXPECT_EQ(first.type, Type::bf16);
  EXPECT_EQ(first.layout, Layout::nchw);
  ASSERT_EQ(first.steps.size(), 3U);
  const auto& crop = std::get<RandomResizedCrop>(first.steps[0]);
  EXPECT_EQ(crop.height, 224U);
  EXPECT_EQ(crop.width, 192U);
  EXPECT_EQ(crop.scale_min, 0.2);
  EXPECT_EQ(crop.ratio_max, 2);
  EXPECT_EQ(std::get<HorizontalFlip>(first.steps[1]).probability, 0.25);
  EXPECT_EQ(std::get<Normalise>(first.steps[2]).mean[2], 0.406);
  EXPECT_EQ(std::get<Normalise>(first.steps[2]).scale, 0.5);
  EXPECT_EQ(config.tensors[1].shape, (std::vector<std::uint64_t>{8, 9, 1}));
  EXPECT_EQ(config.tensors[2].stored, Type::u16);
  EXPECT_EQ(config.tensors[2].classes, 1000U);
  EXPECT_FALSE(parse_tensors(std::string(image) + "shape = [4, 4]", "t").transform_threads);
}

TEST(Spec, WhatIsWrongIsNamed) {
  const std::string with(image);
  EXPECT_SAYS(refused("x = ", ErrorCode::format), "t.toml:1: not TOML");
  EXPECT_SAYS(refused("seed = 1"), "no tensors: declare one");
  EXPECT_SAYS(refused("tensor = 3"), "t.toml:1: tensor: tables [[tensor]] are wanted");
  EXPECT_SAYS(refused("[tensors]\nthreads = 3"), "t.toml:2: [tensors] has no key 'threads'");
  EXPECT_SAYS(refused("[tensors]\ndevice = 3"), "t.toml:2: device: a string is wanted");
  EXPECT_SAYS(error_of([&] {
                auto config = parse_tensors(with + "shape = [4, 4]", "t");
                config.arrivals = "gpu";
                config.validate();
              }).what(),
              "arrivals = 'gpu' is unknown: give host or device");
  EXPECT_SAYS(refused("[tensors]\non_bad_sample = \"x\""), "give one of error, skip");
  EXPECT_SAYS(refused("[tensors]\ntransform_threads = -1"), "a whole number from 0");
  EXPECT_SAYS(refused(with + "colour = 1"), "[[tensor]] has no key 'colour'; it has: name");
  EXPECT_SAYS(refused(with + "decode = \"gif\""), "decode = 'gif' is unknown: give one of image");
  EXPECT_SAYS(refused(with + "channels = 2\nshape = [4, 4]"), "channels = 2: 1 or 3 are");
  EXPECT_SAYS(refused(with + "type = \"f33\""), "t.toml:4: type = 'f33' is unknown");
  EXPECT_SAYS(refused(with), "t.toml:1: tensor 'image': it needs the images' size");
  EXPECT_SAYS(refused(with + "shape = [4, 4, 3]"), "shape of an image is [height, width]");
  EXPECT_SAYS(refused(with + "steps = 3"), "steps: an array of tables with op is wanted");
  EXPECT_SAYS(refused(with + "steps = [{ size = 3 }]"), "a step needs op");
  EXPECT_SAYS(refused(with + "steps = [{ op = \"blur\" }]"), "no step is called 'blur'");
  EXPECT_SAYS(refused(with + "steps = [{ op = \"resize\" }]"),
              "resize needs size = [height, width]");
  EXPECT_SAYS(refused(with + "steps = [{ op = \"resize\", size = [4, 0] }]"),
              "4 x 0 is out of range");
  EXPECT_SAYS(refused(with + "steps = [{ op = \"resize\", size = [4, 4.5] }]"),
              "size: a whole number");
  EXPECT_SAYS(refused(with + "steps = [{ op = \"resize\", size = [4, 4], scale = 2 }]"),
              "resize has no key 'scale'");
  EXPECT_SAYS(
      refused(with + "steps = [{ op = \"random_resized_crop\", size = [4, 4], scale = [0.5, 2] }]"),
      "scale = [0.5, 2] is out of range");
  EXPECT_SAYS(refused(with + "steps = [{ op = \"horizontal_flip\", probability = \"x\" }]"),
              "probability: a number is wanted");
  EXPECT_SAYS(
      refused(with + "shape = [4, 4]\nsteps = [{ op = \"normalise\", mean = [1, 2], std = [1] }]"),
      "mean has 2 numbers: one, or one for each of 3 channels");
  EXPECT_SAYS(
      refused(with + "shape = [4, 4]\nsteps = [{ op = \"normalise\", mean = [1], std = [0] }]"),
      "std must be above 0");
  EXPECT_SAYS(refused(with + "shape = [4, 4]\nsteps = [{ op = \"horizontal_flip\" }, "
                             "{ op = \"resize\", size = [4, 4] }]"),
              "step resize stands too late");
  EXPECT_SAYS(refused("[[tensor]]\nname = \"x\"\nfield = \"y\"\ndecode = \"raw\""), "need shape");
  EXPECT_SAYS(
      refused("[[tensor]]\nname = \"x\"\nfield = \"y\"\ndecode = \"raw\"\nshape = [4000000000, "
              "4000000000]"),
      "is out of range");
  EXPECT_SAYS(
      refused("[[tensor]]\nname = \"x\"\nfield = \"y\"\ndecode = \"raw\"\nstored = \"f32\"\n"
              "shape = [4]\ntype = \"i64\""),
      "type i64 is for whole numbers");
  EXPECT_SAYS(
      refused("[[tensor]]\nname = \"x\"\nfield = \"y\"\ndecode = \"label\"\ntype = \"f32\""),
      "a label is i64");
  EXPECT_SAYS(refused(with + "shape = [4, 4]\n" + with + "shape = [4, 4]"),
              "two tensors are called 'image'");
  EXPECT_SAYS(
      error_of([] { static_cast<void>(load_tensors("/nowhere.toml")); }, ErrorCode::not_found),
      "/nowhere.toml");
}

TEST(Spec, TheExampleIsRight) {
  const auto config = load_tensors(FARO_TRAIN_TOML);
  ASSERT_EQ(config.tensors.size(), 2U);
  EXPECT_EQ(config.tensors[0].steps.size(), 3U);
  EXPECT_FALSE(config.transform_threads);
}

TEST(Spec, RegisteredStepsWorkOnFloats) {
  register_transform("test_noise", [](std::span<float> values, std::span<const std::uint64_t> shape,
                                      const UserDraw& draw) {
    EXPECT_EQ(shape.size(), 3U);
    for (auto& value : values) value += static_cast<float>(draw());
  });
  register_transform("test_halve", [](std::span<float> values, auto, const auto&) {
    for (auto& value : values) value /= 2;
  });
  EXPECT_SAYS(error_of([] { register_transform("test_halve", [](auto, auto, auto) {}); },
                       ErrorCode::invalid_argument),
              "'test_halve' is registered already");
  EXPECT_SAYS(error_of([] { register_transform("resize", [](auto, auto, auto) {}); },
                       ErrorCode::invalid_argument),
              "not built in");
  const auto config = parse_tensors(R"([[tensor]]
name = "x"
field = "data"
decode = "raw"
shape = [2, 2, 3]
layout = "nchw"
steps = [{ op = "normalise", mean = [1], std = [2], scale = 1 }, { op = "test_noise" },
         { op = "test_halve" }])",
                                    "t.toml");
  const std::string bytes("\1\2\3\4\5\6\7\10\11\12\13\14", 12);
  const transform::Draws draws{5, 6};
  const auto out = run<float>(config.tensors[0], bytes, draws);
  EXPECT_EQ(out, run<float>(config.tensors[0], bytes, draws));
  EXPECT_NE(out, run<float>(config.tensors[0], bytes, {5, 7}));
  for (std::size_t i = 0; i < 12; ++i) {
    const auto word =
        draws.words(transform::Purpose::user, static_cast<std::uint32_t>(i / 4))[i % 4];
    const auto noisy =
        (static_cast<float>(i + 1) * 0.5F - 0.5F) + static_cast<float>(transform::uniform(word));
    EXPECT_EQ(out[i % 3 * 4 + i / 3], noisy / 2);
  }
}

TEST(Spec, NpyHeadersAreReadAsNumpyWritesThemAndNotOtherwise) {
  const auto decode = [](std::string header, std::size_t body) {
    std::string file("\x93NUMPY\1\0", 8);
    file += static_cast<char>(header.size() & 255);
    file += static_cast<char>(header.size() >> 8);
    file += header + std::string(body, 'x');
    return transform::decode_npy(as_bytes(file)).shape;
  };
  using Shape = std::vector<std::uint64_t>;
  EXPECT_EQ(decode("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }   \n", 24),
            (Shape{3, 2}));
  EXPECT_EQ(decode("{\"shape\":(),\"descr\":\"|u1\",\"fortran_order\":False}", 1), Shape{});
  for (const auto* wrong :
       {"", "{", "{}", "{'descr': '<f4', 'fortran_order': False, 'shape': (3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'shape': (3,)}", "{'descr': '<f4', 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}"}) {
    EXPECT_SAYS(error_of([&] { decode(wrong, 12); }, ErrorCode::format), ".npy file");
  }
  const auto* huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}";
  EXPECT_SAYS(error_of([&] { decode(huge, 12); }, ErrorCode::format), "overflows");
  EXPECT_SAYS(
      error_of([&] { decode("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 13); },
               ErrorCode::format),
      "its shape 3 of f32 has 12 bytes, and 13 follow its header");
}

}  // namespace
}  // namespace faro::test
