// A batch's tensor made of its samples by one kernel: gather, crop, scale, flip, normalise, cast
// and layout. Bit for bit what transform/ does on the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "transform/grid.hpp"

namespace faro {
enum class Type;
}

namespace faro::cuda {

/// What becomes of a sample's bytes.
enum class GatherKind : std::uint32_t {
  zeros,    ///< nothing is read
  copy,     ///< they are the tensor's, as they stand
  move,     ///< elements of the tensor's type in stored order, each to its place
  convert,  ///< elements of `stored` in stored order: a * x + b, rounded to the tensor's type
  look_up,  ///< an image, the view's pixels one to one: looked up in the table
  scale,    ///< an image, bilinear
};

/// One sample, as the kernel finds it in memory that the device reads.
struct GatherSample {
  const std::byte* from = nullptr;  ///< in memory that the device reads, at any address
  std::uint64_t bytes = 0;          ///< there
  GatherKind kind = GatherKind::zeros;
  Type stored{};             ///< convert
  std::uint32_t height = 0;  ///< of the image; its rows have no gaps
  std::uint32_t width = 0;
  transform::View view;
};

/// Writes `count` samples one behind the other. What `from` points to may be read up to the ends of
/// the 16-byte words that its first and last byte are in.
struct Gather {
  const GatherSample* samples = nullptr;
  std::uint64_t count = 0;
  /// 16-byte aligned; the rest of the last 16 bytes is written as zeros.
  std::byte* to = nullptr;
  Type type{};
  transform::Grid grid;
  // In memory that the device reads; nullptr where there is none.
  const std::byte* table =
      nullptr;               ///< 256 elements of `type` for each channel, as transform::Table
  const float* a = nullptr;  ///< by channel, as transform::Affine
  const float* b = nullptr;
};

/// Does it on the host, in its memory.
void run(const Gather& work);

}  // namespace faro::cuda
