// Reading an IDX file. Its bytes are untrusted: what its header claims is compared with what the
// file can hold before memory is taken, and with what it does hold afterwards.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/error.hpp"
#include "pack/idx.hpp"
#include "pack/os_error.hpp"

namespace faro::pack {
namespace {

namespace fs = std::filesystem;

// The most that a byte of deflate can become (zlib's technical details: 1032:1).
constexpr std::uint64_t max_inflation = 1032;

struct CloseGz {
  void operator()(gzFile file) const noexcept { gzclose(file); }
};
using GzFile = std::unique_ptr<gzFile_s, CloseGz>;

GzFile open(const std::string& path) {
  errno = 0;
  GzFile file(gzopen(path.c_str(), "rbe"));
  if (!file) {
    const int error = errno;
    fail(code_of(error == 0 ? ENOMEM : error), "cannot open {}: {}", path,
         text_of(error == 0 ? ENOMEM : error));  // zlib leaves errno alone where memory runs out
  }
  gzbuffer(file.get(), 256U << 10);
  return file;
}

// Fills `into` as far as the file goes; returns the bytes read. zlib reads plain files as they are.
std::uint64_t read(gzFile file, const std::string& path, std::span<std::byte> into) {
  constexpr std::size_t chunk = std::size_t{1} << 30;  // gzread counts in int
  std::uint64_t done = 0;
  while (done < into.size()) {
    const auto part = into.subspan(done, std::min(into.size() - done, chunk));
    errno = 0;
    const int got = gzread(file, part.data(), static_cast<unsigned>(part.size()));
    int status = Z_OK;
    const char* text = gzerror(file, &status);
    if (status == Z_ERRNO) {
      const int error = errno;
      fail(code_of(error), "cannot read {}: {}", path, text_of(error));
    }
    check(got >= 0 && (status == Z_OK || status == Z_STREAM_END), ErrorCode::format,
          "{} is cut short or no gzip file: {}", path, text);
    if (got == 0) break;
    done += static_cast<std::uint64_t>(got);
  }
  return done;
}

std::uint32_t big_endian(std::span<const std::byte> bytes) {
  std::uint32_t value = 0;
  for (const std::byte byte : bytes.first(4)) {
    value = value << 8 | std::to_integer<std::uint32_t>(byte);
  }
  return value;
}

}  // namespace

IdxFile read_idx(const std::string& path, unsigned dimensions) {
  const GzFile file = open(path);
  std::array<std::byte, 16> buffer{};
  const auto header = std::span(buffer).first(4 * (1 + std::size_t{dimensions}));
  check(read(file.get(), path, header) == header.size(), ErrorCode::format,
        "{} is cut short: its header of {} bytes is not whole", path, header.size());
  const std::uint32_t expected = 0x0800U | dimensions;  // 0x08: unsigned bytes
  const std::uint32_t magic = big_endian(header);
  check(magic == expected, ErrorCode::format,
        "{} is no IDX file of bytes in {} dimension{}: its magic is 0x{:08x}, not 0x{:08x}", path,
        dimensions, dimensions == 1 ? "" : "s", magic, expected);

  std::error_code error;
  const std::uint64_t stored = fs::file_size(path, error);
  check(!error, code_of(error.value()), "cannot tell the size of {}: {}", path, error.message());
  const std::uint64_t most = gzdirect(file.get()) != 0 ? stored : stored * max_inflation;
  IdxFile idx{.path = path, .sizes = {}, .data = {}};
  std::uint64_t bytes = 1;
  for (unsigned i = 1; i <= dimensions; ++i) {
    const std::uint32_t size = big_endian(header.subspan(4 * std::size_t{i}));
    idx.sizes.push_back(size);
    check(size == 0 || bytes <= most / size, ErrorCode::format,
          "{}: its header claims {} bytes or more, but a file of {} bytes holds {} at most", path,
          fmt::join(idx.sizes, " x "), stored, most);
    bytes *= size;
  }

  idx.data.resize(bytes);
  const std::uint64_t got = read(file.get(), path, idx.data);
  check(got == bytes, ErrorCode::format, "{} is cut short: {} of {} bytes are there", path, got,
        bytes);
  std::array<std::byte, 1> more{};
  check(read(file.get(), path, more) == 0, ErrorCode::format,
        "{} goes on after the {} bytes that its header claims", path, bytes);
  return idx;
}

}  // namespace faro::pack
