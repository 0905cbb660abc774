#include "fetch/cache_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace faro::fetch {
namespace {

int write_all(int file, std::span<const std::byte> bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const auto done = pwrite(file, bytes.data(), std::min<std::size_t>(bytes.size(), 16U << 20),
                             static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done < 0 ? errno : ENOSPC;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return 0;
}

}  // namespace

File::~File() {
  if (descriptor_ >= 0) close(descriptor_);
}

int File::write(std::span<const std::byte> bytes, std::uint64_t at,
                std::span<const std::byte> header, std::uint64_t header_at) const {
  if (const int error = write_all(descriptor_, bytes, at)) return error;
  return write_all(descriptor_, header, header_at);
}

}  // namespace faro::fetch
