// The source `idx`: images and labels as MNIST's authors laid them out
// (LeCun, Cortes, Burges, "The MNIST database": magic, sizes in big-endian 32 bits, then bytes).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pack/source.hpp"

namespace faro::pack {

/// An IDX file of unsigned bytes, whole in memory.
struct IdxFile {
  std::string path;
  std::vector<std::uint32_t> sizes;  ///< images: count, rows, columns; labels: count
  std::vector<std::byte> data;       ///< the product of sizes
};

/// Reads an IDX file, gzip or plain. `dimensions` is what its magic must say. No memory is taken
/// for sizes that the file cannot hold. Errors: not_found, access_denied, io, format (magic, sizes,
/// cut short, bytes too many).
[[nodiscard]] IdxFile read_idx(const std::string& path, unsigned dimensions);

/// The IDX data set in a directory: <split>-images-idx3-ubyte and <split>-labels-idx1-ubyte, each
/// with or without .gz, and with '.' for '-' before idx. Fields: the image as 8-bit grey PNG
/// ("png"), the label in decimal digits ("cls").
[[nodiscard]] std::unique_ptr<Source> open_idx(const std::string& directory,
                                               const std::string& split);

}  // namespace faro::pack
