// What the gather kernel is told of a tensor and of a sample.
#pragma once

#include "cuda/gather.hpp"
#include "transform/transform.hpp"

namespace faro::placement {

/// A sample that is decoded, of a program that needs no host. Its bytes stay where they are.
[[nodiscard]] cuda::GatherSample describe(const transform::Program& program,
                                          const transform::Decoded& sample);

/// A sample that is made, as the tensor has it.
[[nodiscard]] cuda::GatherSample describe(std::span<const std::byte> made);

/// A program's numbers, one behind the other as the device reads them.
struct Constants {
  std::vector<std::byte> bytes;
  std::uint64_t a = 0;  ///< where they begin; the table at 0
  std::uint64_t b = 0;
};
[[nodiscard]] Constants constants_of(const transform::Program& program);

/// The tensor's part, without samples and place.
/// \param device where the program's constants have been brought to
[[nodiscard]] cuda::Gather gather_of(const transform::Program& program, const Constants& constants,
                                     const std::byte* device);

}  // namespace faro::placement
