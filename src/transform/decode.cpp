#include "transform/decode.hpp"

#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/error.hpp"
#include "transform/elements.hpp"

namespace faro::transform {
namespace {

std::int64_t parse_text(Bytes bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  constexpr std::string_view space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  text.remove_prefix(first == text.npos ? text.size() : first);
  text = text.substr(0, text.find_last_not_of(space) + 1);
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(!text.empty() && code == std::errc() && end == text.data() + text.size(), ErrorCode::format,
        "a label of {} bytes that is no whole number", bytes.size());
  return value;
}

}  // namespace

void check_size(std::uint64_t height, std::uint64_t width, const ImageLimits& limits) {
  constexpr std::uint64_t side = 65'535;
  check(height > 0 && width > 0 && height <= side && width <= side &&
            height * width <= limits.max_pixels,
        ErrorCode::format,
        "an image of {} x {} pixels: sides up to {} and {} pixels in all are taken (max_pixels)",
        height, width, side, limits.max_pixels);
}

std::uint8_t* room_for(Pixels& pixels, PixelMemory& memory) {
  const auto bytes = std::uint64_t{pixels.height} * pixels.width * pixels.channels;
  auto* room = memory.room(bytes);
  pixels.data = room;
  return room;
}

std::int64_t decode_label(Bytes bytes, std::optional<Type> stored, std::uint64_t classes) {
  std::int64_t value = 0;
  if (stored) {
    check(bytes.size() == size_of(*stored), ErrorCode::format,
          "a label of {} bytes, where {} has {}", bytes.size(), to_string(*stored),
          size_of(*stored));
    value = load_integer(*stored, bytes.data());
  } else {
    value = parse_text(bytes);
  }
  check(value >= 0 && (classes == 0 || static_cast<std::uint64_t>(value) < classes),
        ErrorCode::format, "label {} is out of range: it must be from 0 to {}", value,
        classes == 0 ? INT64_MAX : static_cast<std::int64_t>(classes - 1));
  return value;
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text;
  for (const auto size : shape) text += fmt::format("{}{}", text.empty() ? "" : " x ", size);
  return text.empty() ? "one number" : text;
}

}  // namespace faro::transform
