// Images with known pixels, and a tensor's program run on one sample.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "../support/errors.hpp"
#include "pack/png.hpp"
#include "transform/transform.hpp"

namespace faro::test {

/// A grey PNG of that size, as it is.
inline TensorSpec grey(std::uint64_t height, std::uint64_t width) {
  TensorSpec spec;
  spec.name = "image";
  spec.field = "png";
  spec.decode = Decode::png;
  spec.channels = 1;
  spec.shape = {height, width};
  return spec;
}

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// height x width x channels bytes without a pattern that a mix-up would keep.
inline std::string pixels(std::uint64_t seed, std::uint32_t height, std::uint32_t width,
                          std::uint32_t channels = 1) {
  std::string out(std::size_t{height} * width * channels, '\0');
  std::uint64_t state = seed * 2654435761U + 12345;
  for (auto& byte : out) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<char>(state >> 56);
  }
  return out;
}

inline std::string grey_png(std::string_view grey, std::uint32_t height, std::uint32_t width) {
  const auto png = pack::encode_png(as_bytes(grey), width, height);
  return {reinterpret_cast<const char*>(png.data()), png.size()};
}

/// One sample's elements.
template <class T>
std::vector<T> run(const TensorSpec& spec, std::string_view field,
                   const transform::Draws& draws = {}) {
  const transform::Program program(spec, 1U << 24);
  std::vector<T> out(program.bytes() / sizeof(T));
  transform::Scratch scratch;
  program.run(as_bytes(field), draws, scratch, reinterpret_cast<std::byte*>(out.data()));
  return out;
}

}  // namespace faro::test
