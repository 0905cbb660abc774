#include "placement/describe.hpp"

#include <cstring>

#include "base/error.hpp"

namespace faro::placement {
namespace {

cuda::GatherSample describe_array(const transform::Program& program,
                                  const transform::Array& array) {
  const bool same = array.type == program.type() && program.affine().none();
  return {array.elements.data(),
          array.elements.size(),
          same ? cuda::GatherKind::move : cuda::GatherKind::convert,
          array.type,
          0,
          0,
          {}};
}

cuda::GatherSample describe_image(const transform::Program& program,
                                  const transform::Image& image) {
  const auto& [pixels, view] = image;
  const bool exact = transform::is_exact(view, program.grid());
  return {reinterpret_cast<const std::byte*>(pixels.data),
          std::uint64_t{pixels.height} * pixels.width * pixels.channels,
          exact ? cuda::GatherKind::look_up : cuda::GatherKind::scale,
          Type::u8,
          pixels.height,
          pixels.width,
          view};
}

}  // namespace

cuda::GatherSample describe(const transform::Program& program, const transform::Decoded& sample) {
  const auto* image = std::get_if<transform::Image>(&sample);
  const auto* array = std::get_if<transform::Array>(&sample);
  check(!program.needs_host() && (image != nullptr || array != nullptr), ErrorCode::internal,
        "tensor '{}' is not made by a kernel", program.name());
  auto described =
      image != nullptr ? describe_image(program, *image) : describe_array(program, *array);
  if (program.is_copy(sample)) described.kind = cuda::GatherKind::copy;
  return described;
}

cuda::GatherSample describe(std::span<const std::byte> made) {
  cuda::GatherSample sample;
  sample.from = made.data();
  sample.bytes = made.size();
  sample.kind = cuda::GatherKind::copy;
  return sample;
}

Constants constants_of(const transform::Program& program) {
  Constants constants;
  constants.bytes.assign(program.table().begin(), program.table().end());
  const auto append = [&](std::span<const float> values) {
    const auto at = align_up(constants.bytes.size(), sizeof(float));
    constants.bytes.resize(at + values.size_bytes());
    if (!values.empty()) {
      std::memcpy(constants.bytes.data() + at, values.data(), values.size_bytes());
    }
    return at;
  };
  constants.a = append(program.affine().a);
  constants.b = append(program.affine().b);
  return constants;
}

cuda::Gather gather_of(const transform::Program& program, const Constants& constants,
                       const std::byte* device) {
  cuda::Gather work;
  work.type = program.type();
  work.grid = program.grid();
  work.table = device;
  if (!program.affine().none()) {
    work.a = reinterpret_cast<const float*>(device + constants.a);
    work.b = reinterpret_cast<const float*>(device + constants.b);
  }
  return work;
}

}  // namespace faro::placement
