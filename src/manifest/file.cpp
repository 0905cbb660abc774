#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/error.hpp"
#include "manifest/frame.hpp"

namespace faro::manifest {
namespace {

[[noreturn]] void os_failed(std::string_view what, const std::string& file) {
  const int error = errno;
  const auto code = error == ENOENT   ? ErrorCode::not_found
                    : error == EACCES ? ErrorCode::access_denied
                                      : ErrorCode::io;
  fail(code, "cannot {} {}: {}", what, file, std::strerror(error));
}

class Descriptor {
 public:
  Descriptor(const std::string& file, int flags)
      : fd_(::open(file.c_str(), flags | O_CLOEXEC, 0666)) {
    if (fd_ < 0) os_failed("open", file);
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  /// Network file systems report a full disk no sooner than here.
  void close(const std::string& file) {
    if (::close(std::exchange(fd_, -1)) != 0) os_failed("close", file);
  }

 private:
  int fd_;
};

void write_all(int fd, std::span<const std::byte> bytes, const std::string& file) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) os_failed("write", file);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// Bytes read; fewer than asked for only at the file's end.
std::size_t read_all(int fd, std::span<std::byte> bytes, const std::string& file) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto got = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) os_failed("read", file);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

/// The new name lasts through a crash only once its directory is written too.
void sync_directory(const std::string& file) {
  const auto parent = std::filesystem::path(file).parent_path();
  const Descriptor directory(parent.empty() ? "." : parent.string(), O_RDONLY | O_DIRECTORY);
  ::fsync(directory.get());  // some file systems refuse this: the rename has happened all the same
}

}  // namespace

void write_atomically(const std::string& file, std::span<const std::byte> head,
                      std::span<const std::byte> body) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  const std::string temporary = fmt::format("{}.{}-{}.tmp", file, ::getpid(), now);
  Descriptor out(temporary, O_WRONLY | O_CREAT | O_EXCL);
  try {
    write_all(out.get(), head, temporary);
    write_all(out.get(), body, temporary);
    if (::fsync(out.get()) != 0) os_failed("write", temporary);
    out.close(temporary);
    if (::rename(temporary.c_str(), file.c_str()) != 0) os_failed("replace", file);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_directory(file);
}

std::vector<std::byte> read_framed(const std::string& file) {
  const Descriptor in(file, O_RDONLY);
  struct stat info {};
  if (::fstat(in.get(), &info) != 0) os_failed("read", file);
  check(S_ISREG(info.st_mode), ErrorCode::format, "not a faro manifest: not a regular file");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  std::vector<std::byte> head(frame_size);
  head.resize(read_all(in.get(), head, file));
  const std::uint32_t crc = check_frame(head, size);
  std::vector<std::byte> content(size - frame_size);
  check(read_all(in.get(), content, file) == content.size(), ErrorCode::format,
        "the manifest was cut short while it was read");
  check_content(content, crc);
  return content;
}

}  // namespace faro::manifest
