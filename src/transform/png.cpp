#include <png.h>

#include <array>
#include <csetjmp>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "transform/decode.hpp"

namespace faro::transform {
namespace {

/// libpng leaves a failed call by longjmp, so everything lives here and not on the stack that is
/// jumped over.
struct Reader {
  Bytes rest;
  std::array<char, 160> message{};
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<png_bytep> rows;

  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void read_bytes(png_structp png, png_bytep to, png_size_t count) {
  auto& reader = *static_cast<Reader*>(png_get_io_ptr(png));
  if (count > reader.rest.size()) png_error(png, "it ends early");
  std::memcpy(to, reader.rest.data(), count);
  reader.rest = reader.rest.subspan(count);
}

void on_error(png_structp png, png_const_charp message) {
  auto& reader = *static_cast<Reader*>(png_get_error_ptr(png));
  std::strncpy(reader.message.data(), message, reader.message.size() - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

/// Runs `work`, which must own nothing; false where libpng has left it.
template <class Work>
bool guarded(Reader& reader, Work work) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  work();
  return true;
}

[[noreturn]] void broken(const Reader& reader) {
  fail(ErrorCode::format, "not a whole PNG: {}", reader.message.data());
}

/// Has libpng give rows of 8-bit grey or RGB, whatever is stored.
void ask_for_rows(Reader& reader, std::uint32_t channels) {
  const auto depth = png_get_bit_depth(reader.png, reader.info);
  const bool colour = (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_COLOR) != 0;
  check(depth <= 8, ErrorCode::format, "a PNG of 16 bits a channel: 8 at most are taken");
  check(!colour || channels == 3, ErrorCode::format,
        "a PNG in colour, and the tensor has one channel");
  if (!guarded(reader, [&] {
        png_set_expand(reader.png);  // palettes, fewer bits, transparent colours
        png_set_strip_alpha(reader.png);
        if (channels == 3) png_set_gray_to_rgb(reader.png);
        png_set_interlace_handling(reader.png);
        png_read_update_info(reader.png, reader.info);
      })) {
    broken(reader);
  }
}

}  // namespace

bool is_png(Bytes bytes) noexcept {
  constexpr std::array<unsigned char, 8> signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  return bytes.size() >= signature.size() &&
         std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
}

Pixels decode_png(Bytes bytes, const ImageLimits& limits, PixelMemory& memory) {
  check(is_png(bytes), ErrorCode::format, "not a PNG: its first bytes are others");
  Reader reader;
  reader.rest = bytes;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  check(reader.info != nullptr, ErrorCode::memory, "libpng has no memory");
  png_set_read_fn(reader.png, &reader, read_bytes);
  png_set_user_limits(reader.png, 65'535, 65'535);
  png_set_chunk_cache_max(reader.png, 64);
  png_set_chunk_malloc_max(reader.png, 1U << 20);
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
  if (!guarded(reader, [&] { png_read_info(reader.png, reader.info); })) broken(reader);

  Pixels pixels;
  pixels.height = png_get_image_height(reader.png, reader.info);
  pixels.width = png_get_image_width(reader.png, reader.info);
  pixels.channels = limits.channels;
  check_size(pixels.height, pixels.width, limits);
  ask_for_rows(reader, limits.channels);
  const auto row = std::size_t{pixels.width} * pixels.channels;
  check(png_get_rowbytes(reader.png, reader.info) == row, ErrorCode::format,
        "a PNG of a kind that is not taken");
  auto* data = room_for(pixels, memory);
  reader.rows.resize(pixels.height);
  for (std::size_t y = 0; y < reader.rows.size(); ++y) reader.rows[y] = data + y * row;
  if (!guarded(reader, [&] {
        png_read_image(reader.png, reader.rows.data());
        png_read_end(reader.png, nullptr);  // checks what comes after the pixels
      })) {
    broken(reader);
  }
  return pixels;
}

}  // namespace faro::transform
