// Shards as files: written as NAME.part, then renamed.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/error.hpp"
#include "pack/os_error.hpp"
#include "pack/target.hpp"

namespace faro::pack {
namespace {

namespace fs = std::filesystem;

class File final : public Output {
 public:
  explicit File(std::string part) : part_(std::move(part)) {
    fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd_ < 0) fail_io(errno, "create");
  }
  ~File() override {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const auto written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail_io(errno, "write");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void finish() override {
    if (::fsync(fd_) != 0) fail_io(errno, "write");
    if (::close(std::exchange(fd_, -1)) != 0) fail_io(errno, "close");
  }

 private:
  [[noreturn]] void fail_io(int error, const char* what) const {
    const bool full = error == ENOSPC || error == EDQUOT;
    fail(code_of(error), "cannot {} {}: {}{}", what, part_, text_of(error),
         full ? "; free some space or give another output directory" : "");
  }

  std::string part_;
  int fd_ = -1;
};

class Directory final : public Target {
 public:
  explicit Directory(fs::path path) : path_(std::move(path)) {}
  ~Directory() override {
    for (const auto& name : written_) ::unlink(part(name).c_str());
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::vector<std::string> names(const std::string&) override try {
    fs::create_directories(path_);
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path_)) {
      found.push_back(entry.path().filename().string());
    }
    return found;
  } catch (const fs::filesystem_error& error) {
    fail(code_of(error.code().value()), "cannot make or read the output directory {}: {}",
         path_.string(), error.code().message());
  }

  [[nodiscard]] std::string path(const std::string& name) const override {
    return (path_ / name).string();
  }

  std::unique_ptr<Output> create(const std::string& name) override {
    auto file = std::make_unique<File>(part(name));
    written_.push_back(name);
    return file;
  }

  void flush() override {}  // finish() has synced each

  void commit() override {
    if (written_.empty()) return;
    while (!written_.empty()) {
      const auto& name = written_.back();
      if (std::rename(part(name).c_str(), path(name).c_str()) != 0) {
        const int error = errno;
        fail(code_of(error), "cannot rename {} to {}: {}", part(name), path(name), text_of(error));
      }
      written_.pop_back();
    }
    sync();
  }

 private:
  [[nodiscard]] std::string part(const std::string& name) const { return path(name) + ".part"; }

  void sync() const {
    const int directory = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int status = directory < 0 ? -1 : ::fsync(directory);
    const int error = errno;
    if (directory >= 0) ::close(directory);
    // Some network file systems have no fsync of directories; their renames are durable by
    // themselves.
    check(status == 0 || error == EINVAL || error == ENOTSUP, ErrorCode::io, "cannot sync {}: {}",
          path_.string(), text_of(error));
  }

  fs::path path_;
  std::vector<std::string> written_;  // and not yet renamed
};

}  // namespace

std::unique_ptr<Target> open_directory(const std::string& path) {
  return std::make_unique<Directory>(path);
}

}  // namespace faro::pack
