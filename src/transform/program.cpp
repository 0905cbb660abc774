// Running a tensor's program; what makes one ready stands in compile.cpp.
#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "transform/transform.hpp"

namespace faro::transform {
namespace {

/// A stretch of whole pixels.
Stretch whole(std::uint32_t begin, std::uint32_t length) {
  return {std::int64_t{begin} << 16, std::int64_t{length} << 16};
}

/// See CentreCrop. \param shorter side of the image
Stretch centre(std::uint32_t size, std::uint32_t wanted, std::uint32_t resize,
               std::uint32_t shorter) {
  if (resize == 0) {
    check(wanted <= size, ErrorCode::format, "an image side of {} pixels, and centre_crop takes {}",
          size, wanted);
    return whole((size - wanted) / 2, wanted);
  }
  // A pixel of the scaled image is shorter / resize of the image's.
  const auto length = ((std::int64_t{wanted} * shorter) << 16) / resize;
  const auto all = std::int64_t{size} << 16;
  check(length <= all && length > 0, ErrorCode::format,
        "an image side of {} pixels is smaller than centre_crop's {} once its shorter side is {}",
        size, wanted, resize);
  return {(all - length) / 2, length};
}

}  // namespace

Pixels Program::decode_image(Bytes field, Scratch& scratch) const {
  const ImageLimits limits{spec_.channels, max_pixels_};
  const bool png = spec_.decode == Decode::png || (spec_.decode == Decode::image && is_png(field));
  const auto pixels = png ? decode_png(field, limits, scratch.pixels)
                          : scratch.jpeg.decode(field, limits, scratch.pixels);
  check(spec_.shape.empty() || (pixels.height == spec_.shape[0] && pixels.width == spec_.shape[1]),
        ErrorCode::format, "an image of {} x {} pixels, and the tensor's shape is {}",
        pixels.height, pixels.width, shape_text(spec_.shape));
  return pixels;
}

Array Program::read_npy(Bytes field) const {
  auto array = decode_npy(field);
  if (ragged()) {
    check(
        !array.shape.empty() && std::ranges::equal(std::span(array.shape).subspan(1), spec_.shape),
        ErrorCode::format, "an array of {}, and a row of the tensor is {}", shape_text(array.shape),
        shape_text(spec_.shape));
  } else {
    check(array.shape == spec_.shape, ErrorCode::format,
          "an array of {}, and the tensor's shape is {}", shape_text(array.shape),
          shape_text(spec_.shape));
  }
  const auto stored = spec_.stored.value_or(array.type);
  check(array.type == stored, ErrorCode::format,
        "an array of {}, and the tensor's stored type is {}", to_string(array.type),
        to_string(stored));
  check(array.type == type_ || (is_output(type_) && (type_ != Type::i64 || is_integer(array.type))),
        ErrorCode::format, "an array of {} does not become {}", to_string(array.type),
        to_string(type_));
  return array;
}

Array Program::read_raw(Bytes field) const {
  Array array{spec_.stored.value_or(Type::u8), spec_.shape, field};
  const auto wanted = stored_elements_ * size_of(array.type);
  if (ragged()) {
    check(field.size() % wanted == 0, ErrorCode::format,
          "{} bytes are no whole number of rows: {} of {} are {}", field.size(),
          shape_text(spec_.shape), to_string(array.type), wanted);
    array.shape.insert(array.shape.begin(), field.size() / wanted);
  } else {
    check(field.size() == wanted, ErrorCode::format, "{} bytes, and {} of {} are {}", field.size(),
          shape_text(spec_.shape), to_string(array.type), wanted);
  }
  return array;
}

bool Program::reads_in_place() const noexcept {
  return !needs_host() && (spec_.decode == Decode::raw || spec_.decode == Decode::npy);
}

std::optional<std::uint64_t> Program::looked_at(Bytes field) const {
  if (!reads_in_place()) return std::nullopt;
  try {
    return static_cast<std::uint64_t>(decode_array(field).elements.data() - field.data());
  } catch (const Error&) {
    return std::nullopt;
  }
}

Array Program::decode_array(Bytes field) const {
  auto array = spec_.decode == Decode::npy ? read_npy(field) : read_raw(field);
  if (!ragged()) return array;
  auto& rows = array.shape[0];
  const auto most = spec_.ragged->max_length;
  check(rows <= most || spec_.ragged->truncate, ErrorCode::format,
        "a sample of {} rows, and max_length is {}", rows, most);
  rows = std::min(rows, most);
  array.elements = array.elements.first(rows * stored_elements_ * size_of(array.type));
  return array;
}

std::uint64_t Program::length(Bytes field) const {
  return decode_array(field).shape[0];
}

View Program::choose_view(const Pixels& pixels, const Draws& draws) const {
  View view{whole(0, pixels.height), whole(0, pixels.width), draw_flip(flip_, draws)};
  if (!crop_) return view;
  if (std::holds_alternative<RandomResizedCrop>(*crop_)) {
    const auto part = random_part(pixels.height, pixels.width, range_, draws);
    view.y = whole(part.top, part.height);
    view.x = whole(part.left, part.width);
  } else if (const auto* crop = std::get_if<CentreCrop>(&*crop_)) {
    const auto shorter = std::min(pixels.height, pixels.width);
    view.y = centre(pixels.height, crop->height, crop->resize, shorter);
    view.x = centre(pixels.width, crop->width, crop->resize, shorter);
  }
  return view;
}

void Program::write_image(const Image& image, const Draws& draws, Scratch& scratch,
                          std::byte* out) const {
  const auto& [pixels, view] = image;
  if (registered_.empty()) {
    write_pixels(pixels, view, grid_, table_, affine_, type_, scratch.scaling, out);
    return;
  }
  scratch.values.resize(grid_.elements());
  write_pixels(pixels, view, grid_.stored(), table_, affine_, Type::f32, scratch.scaling,
               reinterpret_cast<std::byte*>(scratch.values.data()));
  run_registered(draws, stored_shape_, scratch.values);
  write_elements(std::as_bytes(std::span(scratch.values)), Type::f32, grid_, {}, type_, out);
}

void Program::write_array(const Array& array, const Draws& draws, Scratch& scratch,
                          std::byte* out) const {
  auto grid = grid_;
  if (ragged()) grid.width = array.shape[0] * stored_elements_ / grid.channels;
  if (registered_.empty()) {
    write_elements(array.elements, array.type, grid, affine_, type_, out);
    return;
  }
  scratch.values.resize(grid.elements());
  write_elements(array.elements, array.type, grid.stored(), affine_, Type::f32,
                 reinterpret_cast<std::byte*>(scratch.values.data()));
  run_registered(draws, array.shape, scratch.values);
  write_elements(std::as_bytes(std::span(scratch.values)), Type::f32, grid, {}, type_, out);
}

void Program::run_registered(const Draws& draws, std::span<const std::uint64_t> shape,
                             std::span<float> values) const {
  for (std::size_t step = 0; step < registered_.size(); ++step) {
    // A step has 2^24 blocks of four words of its own.
    auto draw = [&draws, index = static_cast<std::uint32_t>(step) << 24, word = 0U,
                 words = std::array<std::uint32_t, 4>{}]() mutable {
      if (word % 4 == 0) words = draws.words(Purpose::user, index++);
      return uniform(words[word++ % 4]);
    };
    (*registered_[step])(values, shape, draw);
  }
}

Decoded Program::decode(Bytes field, const Draws& draws, Scratch& scratch) const {
  if (spec_.decode == Decode::label) return decode_label(field, spec_.stored, spec_.classes);
  Pixels pixels;
  if (spec_.decode == Decode::raw || spec_.decode == Decode::npy) {
    auto array = decode_array(field);
    if (!has_pixels() || array.type != Type::u8) return array;
    pixels = {reinterpret_cast<const std::uint8_t*>(array.elements.data()),
              static_cast<std::uint32_t>(array.shape[0]),
              static_cast<std::uint32_t>(array.shape[1]),
              static_cast<std::uint32_t>(array.shape[2])};
  } else {
    pixels = decode_image(field, scratch);
  }
  return Image{pixels, choose_view(pixels, draws)};
}

void Program::write(const Decoded& sample, const Draws& draws, Scratch& scratch,
                    std::byte* out) const {
  if (const auto* number = std::get_if<std::int64_t>(&sample)) {
    std::memcpy(out, number, sizeof(*number));
  } else if (const auto* image = std::get_if<Image>(&sample)) {
    write_image(*image, draws, scratch, out);
  } else {
    write_array(std::get<Array>(sample), draws, scratch, out);
  }
}

bool Program::is_copy(const Decoded& sample) const noexcept {
  if (needs_host() || !affine_.none() || !grid_.is_stored()) return false;
  if (const auto* array = std::get_if<Array>(&sample)) return array->type == type_;
  const auto* image = std::get_if<Image>(&sample);
  return image != nullptr && type_ == Type::u8 && !image->view.flip &&
         image->pixels.height == grid_.height && image->pixels.width == grid_.width &&
         is_exact(image->view, grid_);
}

std::uint64_t Program::most_decoded_bytes() const noexcept {
  if (spec_.decode == Decode::label) return sizeof(std::int64_t);
  if (spec_.decode == Decode::raw)
    return stored_elements_ * size_of(spec_.stored.value_or(Type::u8));
  // Of an .npy file whose type is not declared, the largest.
  if (spec_.decode == Decode::npy)
    return stored_elements_ * size_of(spec_.stored.value_or(Type::f64));
  return (spec_.shape.empty() ? max_pixels_ : stored_elements_) * spec_.channels;
}

}  // namespace faro::transform
