#include <turbojpeg.h>

#include "base/error.hpp"
#include "transform/decode.hpp"

namespace faro::transform {
namespace {

/// Multiplies a colour and black, both inverted as Adobe's programs write CMYK.
std::uint8_t ink(std::uint32_t colour, std::uint32_t black) {
  return static_cast<std::uint8_t>((colour * black + 127) / 255);
}

}  // namespace

void JpegDecoder::Close::operator()(void* handle) const noexcept {
  tjDestroy(handle);
}

Pixels JpegDecoder::decode(Bytes bytes, const ImageLimits& limits, PixelMemory& memory) {
  if (!handle_) handle_.reset(tjInitDecompress());
  check(handle_ != nullptr, ErrorCode::memory, "libjpeg-turbo has no memory");
  auto* handle = handle_.get();
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  int width = 0;
  int height = 0;
  int sampling = 0;
  int colours = 0;
  check(tjDecompressHeader3(handle, data, bytes.size(), &width, &height, &sampling, &colours) == 0,
        ErrorCode::format, "not a whole JPEG: {}", tjGetErrorStr2(handle));
  check_size(static_cast<std::uint64_t>(height), static_cast<std::uint64_t>(width), limits);
  check(colours == TJCS_GRAY || limits.channels == 3, ErrorCode::format,
        "a JPEG in colour, and the tensor has one channel");
  const bool inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
  Pixels pixels{nullptr, static_cast<std::uint32_t>(height), static_cast<std::uint32_t>(width),
                inks ? 4U : limits.channels};
  auto* to = room_for(pixels, memory);
  const int format = inks ? TJPF_CMYK : (limits.channels == 1 ? TJPF_GRAY : TJPF_RGB);
  // A warning (a body cut short, a damaged code) is an answer of -1 too: grey pixels were made up.
  check(tjDecompress2(handle, data, bytes.size(), to, width, 0, height, format,
                      TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT) == 0,
        ErrorCode::format, "not a whole JPEG: {}", tjGetErrorStr2(handle));
  if (inks) {
    const auto count = std::size_t{pixels.height} * pixels.width;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t black = to[4 * i + 3];
      for (std::size_t c = 0; c < 3; ++c) to[3 * i + c] = ink(to[4 * i + c], black);
    }
    pixels.channels = 3;
  }
  return pixels;
}

}  // namespace faro::transform
