// Any bytes as a field, by the first of them: a PNG, a JPEG, an .npy file, raw rows, a label, or
// the TOML that declares tensors. What is decoded fits what was asked for; all else is refused.
#include "fuzz.hpp"
#include "transform/transform.hpp"

using namespace faro;

namespace {

constexpr std::uint64_t max_pixels = 1U << 14;

void check_image(transform::Bytes bytes, Decode decode, std::uint32_t channels) {
  TensorSpec spec;
  spec.name = "x";
  spec.field = "f";
  spec.decode = decode;
  spec.channels = channels;
  spec.type = Type::u8;
  spec.steps = {RandomResizedCrop{5, 6}, HorizontalFlip{}};
  const transform::Program program(spec, max_pixels);
  transform::Scratch scratch;  // anew each time, so that a write past its end is found
  std::vector<std::byte> out(program.bytes());
  static_cast<void>(succeeds(
      [&] {
        program.run(bytes, {1, 2}, scratch, out.data());
      },
      ErrorCode::format));
  require(scratch.pixels.capacity() <= max_pixels * 4, "memory is taken within the limit");
}

/// A sample's rows fill the place that their number says, and no more.
void check_ragged(transform::Bytes bytes, Decode decode, bool truncate) {
  TensorSpec spec;
  spec.name = "x";
  spec.field = "f";
  spec.decode = decode;
  spec.shape = {2};
  spec.ragged = Ragged{5, truncate};
  const transform::Program program(spec, max_pixels);
  std::uint64_t length = 0;
  if (!succeeds([&] { length = program.length(bytes); }, ErrorCode::format)) return;
  require(length <= 5, "no more rows than are planned for");
  transform::Scratch scratch;
  std::vector<std::byte> out(length * program.row_bytes());
  program.run(bytes, {1, 2}, scratch, out.data());
}

void check_array(transform::Bytes bytes) {
  transform::Array array;
  if (!succeeds([&] { array = transform::decode_npy(bytes); }, ErrorCode::format)) return;
  std::uint64_t size = size_of(array.type);
  for (const auto length : array.shape) size *= length;
  require(array.elements.size() == size, "the elements are those of the shape");
  require(array.elements.data() + size == bytes.data() + bytes.size(), "they end the file");
}

void check_toml(std::string_view text) {
  TensorConfig config;
  if (!succeeds([&] { config = parse_tensors(text, "f"); }, ErrorCode::format,
                ErrorCode::invalid_argument)) {
    return;
  }
  config.validate();
  require(!config.tensors.empty(), "a configuration has tensors");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0]) {
    case 'p':
    case 'j':
      for (const std::uint32_t channels : {1U, 3U}) {
        check_image(bytes, data[0] == 'p' ? Decode::png : Decode::jpeg, channels);
      }
      break;
    case 'n':
      check_array(bytes);
      for (const bool truncate : {false, true}) check_ragged(bytes, Decode::npy, truncate);
      break;
    case 'r':
      for (const bool truncate : {false, true}) check_ragged(bytes, Decode::raw, truncate);
      break;
    case 'l':
      static_cast<void>(succeeds(
          [&] {
            const auto label = transform::decode_label(bytes, std::nullopt, 10);
            require(label >= 0 && label < 10, "a label is in range");
          },
          ErrorCode::format));
      break;
    case 't': check_toml({reinterpret_cast<const char*>(data + 1), size - 1}); break;
    default: check_image(bytes, Decode::image, 3);
  }
  return 0;
}
