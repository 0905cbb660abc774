// A tensor's program on one core, beside the least that its work takes: the decoder's library
// alone, a plain loop of the same arithmetic, or memcpy. Driven by tensors.py.
//
//     transform_bench REPETITIONS SECONDS
//
// Batches of 64 samples, each of its own input and place in the output, as in a run. In turn: the
// program for SECONDS, the limit for SECONDS, REPETITIONS times. Prints one line of JSON: CPU
// seconds a sample.
#include <png.h>
#include <time.h>
#include <turbojpeg.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.hpp"
#include "transform/transform.hpp"

namespace {

using namespace faro;
using Sample = std::vector<std::byte>;

constexpr std::size_t batch = 64;

/// Of this thread: what other programs on the machine take does not count.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Smooth with some noise, as photographs are: what decoders take depends on it.
std::vector<std::uint8_t> picture(unsigned seed, int height, int width, int channels) {
  std::mt19937 draw(seed);
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        const double wave = std::sin((x + static_cast<int>(seed)) / (9.0 + c)) + std::cos(y / 13.0);
        pixels.push_back(static_cast<std::uint8_t>(128 + 55 * wave + draw() % 9));
      }
    }
  }
  return pixels;
}

Sample to_sample(const void* data, std::size_t bytes) {
  const auto* first = static_cast<const std::byte*>(data);
  return {first, first + bytes};
}

Sample to_png(const std::vector<std::uint8_t>& pixels, int height, int width, int channels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t bytes = 2 * pixels.size() + 4096;
  Sample out(bytes);
  check(png_image_write_to_memory(&image, out.data(), &bytes, 0, pixels.data(), 0, nullptr) != 0,
        ErrorCode::internal, "libpng: {}", image.message);
  out.resize(bytes);
  return out;
}

Sample to_jpeg(const std::vector<std::uint8_t>& pixels, int height, int width) {
  auto* handle = tjInitCompress();
  unsigned char* data = nullptr;
  unsigned long bytes = 0;
  check(tjCompress2(handle, pixels.data(), width, 0, height, TJPF_RGB, &data, &bytes, TJSAMP_420,
                    90, 0) == 0,
        ErrorCode::internal, "libjpeg-turbo: {}", tjGetErrorStr2(handle));
  auto out = to_sample(data, bytes);
  tjFree(data);
  tjDestroy(handle);
  return out;
}

/// libpng and nothing else: 8 bits a channel, as they are stored.
void png_alone(const Sample& in, std::vector<std::uint8_t>& pixels) {
  auto* png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  auto* info = png_create_info_struct(png);
  auto rest = std::span(in);
  png_set_read_fn(png, &rest, [](png_structp reader, png_bytep to, png_size_t count) {
    auto& bytes = *static_cast<std::span<const std::byte>*>(png_get_io_ptr(reader));
    std::memcpy(to, bytes.data(), count);
    bytes = bytes.subspan(count);
  });
  png_read_info(png, info);
  const auto row = png_get_rowbytes(png, info);
  const auto height = png_get_image_height(png, info);
  pixels.resize(row * height);
  for (std::size_t y = 0; y < height; ++y) png_read_row(png, pixels.data() + y * row, nullptr);
  png_read_end(png, nullptr);
  png_destroy_read_struct(&png, &info, nullptr);
}

struct Case {
  std::string name;
  std::string limit_name;
  TensorSpec spec;
  std::vector<Sample> inputs;
  std::function<void(const Sample& in, std::byte* out)> limit;
};

/// CPU seconds a sample of going through the batch again and again.
template <class Work>
double measure(double seconds, const Work& work) {
  std::uint64_t samples = 0;
  const auto start = cpu_seconds();
  do {
    for (std::size_t i = 0; i < batch; ++i) work(i);
    samples += batch;
  } while (cpu_seconds() - start < seconds);
  return (cpu_seconds() - start) / static_cast<double>(samples);
}

nlohmann::ordered_json run(const Case& what, int repetitions, double seconds) {
  const transform::Program program(what.spec, 1U << 24);
  transform::Scratch scratch;
  std::vector<std::byte> out(batch * program.bytes());
  const auto ours = [&](std::size_t i) {
    program.run(what.inputs[i], {1, i}, scratch, out.data() + i * program.bytes());
  };
  const auto limit = [&](std::size_t i) {
    what.limit(what.inputs[i], out.data() + i * program.bytes());
  };
  nlohmann::ordered_json result{{"name", what.name},
                                {"limit", what.limit_name},
                                {"bytes_in", what.inputs[0].size()},
                                {"bytes_out", program.bytes()}};
  measure(0, ours);
  measure(0, limit);
  for (int i = 0; i < repetitions; ++i) {
    result["seconds"].push_back(measure(seconds, ours));
    result["limit_seconds"].push_back(measure(seconds, limit));
  }
  return result;
}

TensorSpec spec_of(Decode decode, std::vector<std::uint64_t> shape, std::vector<Step> steps,
                   Type type) {
  TensorSpec spec;
  spec.name = spec.field = "x";
  spec.decode = decode;
  spec.shape = std::move(shape);
  spec.steps = std::move(steps);
  spec.type = type;
  return spec;
}

template <class Make>
std::vector<Sample> inputs(const Make& make) {
  std::vector<Sample> all;
  for (unsigned i = 0; i < batch; ++i) all.push_back(make(i));
  return all;
}

/// x * a + b of each channel; planes: NCHW.
template <bool planes>
void plain_normalise(const Sample& in, std::byte* out) {
  constexpr std::size_t pixels = 224 * 224;
  const auto* from = reinterpret_cast<const std::uint8_t*>(in.data());
  auto* to = reinterpret_cast<float*>(out);
  const std::array<float, 3> a{0.0171F, 0.0175F, 0.0174F};
  const std::array<float, 3> b{-2.1F, -2.0F, -1.8F};
  for (std::size_t i = 0; i < pixels; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      to[planes ? c * pixels + i : i * 3 + c] = static_cast<float>(from[i * 3 + c]) * a[c] + b[c];
    }
  }
}

void copy(const Sample& in, std::byte* out) {
  std::memcpy(out, in.data(), in.size());
}

void widen(const Sample& in, std::byte* out) {
  auto* to = reinterpret_cast<std::int64_t*>(out);
  for (std::size_t i = 0; i < in.size() / 2; ++i) {
    std::uint16_t token = 0;
    std::memcpy(&token, in.data() + 2 * i, sizeof(token));
    to[i] = token;
  }
}

std::vector<Case> cases() {
  const Normalise normalise{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, {}};
  std::vector<std::uint8_t> pixels;
  const auto libpng = [pixels](const Sample& in, std::byte*) mutable { png_alone(in, pixels); };
  const auto libjpeg = [pixels, handle = std::shared_ptr<void>(tjInitDecompress(), tjDestroy)](
                           const Sample& in, std::byte*) mutable {
    pixels.resize(std::size_t{500} * 375 * 3);
    tjDecompress2(handle.get(), reinterpret_cast<const unsigned char*>(in.data()), in.size(),
                  pixels.data(), 500, 0, 375, TJPF_RGB, TJFLAG_ACCURATEDCT);
  };
  const auto png = [](int size, int channels) {
    return inputs(
        [&](unsigned i) { return to_png(picture(i, size, size, channels), size, size, channels); });
  };
  const auto raw = [](std::size_t bytes) {
    return inputs([&](unsigned i) {
      const auto all = picture(i, 224, 224, 3);
      return to_sample(all.data(), bytes);
    });
  };
  std::vector<Case> all;
  auto small = spec_of(Decode::png, {28, 28}, {Normalise{{0.5}, {0.5}, {}}}, Type::f32);
  small.channels = 1;
  all.push_back({"png 28 grey, normalise, f32", "libpng", small, png(28, 1), libpng});
  all.push_back({"png 256 rgb, normalise, f32", "libpng",
                 spec_of(Decode::png, {256, 256}, {normalise}, Type::f32), png(256, 3), libpng});
  auto photo = spec_of(Decode::jpeg, {}, {RandomResizedCrop{224, 224}, HorizontalFlip{}, normalise},
                       Type::f16);
  photo.layout = Layout::nchw;
  all.push_back({"jpeg 375 x 500, crop 224, flip, normalise, nchw f16", "libjpeg-turbo", photo,
                 inputs([](unsigned i) { return to_jpeg(picture(i, 375, 500, 3), 375, 500); }),
                 libjpeg});
  const std::vector<std::uint64_t> shape{224, 224, 3};
  constexpr std::size_t bytes = std::size_t{224} * 224 * 3;
  auto planes = spec_of(Decode::raw, shape, {normalise}, Type::f32);
  all.push_back(
      {"u8 224 rgb, normalise, f32", "a plain loop", planes, raw(bytes), plain_normalise<false>});
  planes.layout = Layout::nchw;
  all.push_back({"u8 224 rgb, normalise, nchw f32", "a plain loop", planes, raw(bytes),
                 plain_normalise<true>});
  all.push_back({"u8 224 rgb, as it is", "memcpy", spec_of(Decode::raw, shape, {}, Type::u8),
                 raw(bytes), copy});
  auto floats = spec_of(Decode::raw, {bytes / 4}, {}, Type::f32);
  floats.stored = Type::f32;
  all.push_back({"f32, as it is", "memcpy", floats, raw(bytes), copy});
  auto tokens = spec_of(Decode::raw, {}, {}, Type::i64);
  tokens.stored = Type::u16;
  tokens.ragged = Ragged{2048, false};
  all.push_back({"2048 u16 to i64, ragged", "a plain loop", tokens, raw(4096), widen});
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: transform_bench REPETITIONS SECONDS\n");
    return 2;
  }
  try {
    nlohmann::ordered_json results;
    for (const auto& what : cases()) {
      results.push_back(run(what, std::atoi(argv[1]), std::atof(argv[2])));
    }
    std::printf("%s\n", results.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "transform_bench: %s\n", error.what());
    return 1;
  }
}
