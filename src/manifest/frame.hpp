// A manifest file: 512 bytes of faro's own (HDF5 calls that a user block), then an HDF5 file.
// libhdf5 crashes on damaged files, so the frame is checked before it sees any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace faro::manifest {

inline constexpr std::size_t frame_size = 512;
inline constexpr std::uint32_t frame_version = 1;

/// Magic, version, length and CRC32C of `content`; then zeros.
[[nodiscard]] std::vector<std::byte> frame(std::span<const std::byte> content);
/// Checks the frame itself against the file's length; returns the content's CRC32C.
/// Error(format): not a manifest, another version, cut short.
[[nodiscard]] std::uint32_t check_frame(std::span<const std::byte> frame, std::uint64_t file_size);
/// Error(format) unless the content has that checksum.
void check_content(std::span<const std::byte> content, std::uint32_t crc);

/// Replaces `file` by the parts, all or nothing. Error(io).
void write_atomically(const std::string& file, std::span<const std::byte> head,
                      std::span<const std::byte> body);
/// The content of a framed file, checked. Errors: not_found, access_denied, io, format.
[[nodiscard]] std::vector<std::byte> read_framed(const std::string& file);

}  // namespace faro::manifest
