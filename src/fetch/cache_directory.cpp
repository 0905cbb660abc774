#include "fetch/cache_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/error.hpp"

namespace faro::fetch {
namespace {

namespace fs = std::filesystem;

std::string text_of(int error) {
  return std::generic_category().message(error);
}

[[noreturn]] void fail_start(const std::string& directory, const char* what, int error) {
  const bool denied = error == EACCES || error == EPERM || error == EROFS;
  fail(denied ? ErrorCode::access_denied : ErrorCode::io,
       "cache = '{}': {}: {}: name a directory of the node that can be written to, or none",
       directory, what, text_of(error));
}

std::int64_t touched_at(const struct stat& status) {
  return status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
}

std::uint64_t cost_of(std::uint64_t bytes) {
  return align_up(bytes, 4096);
}

}  // namespace

/// Held by one process at a time; let go by the kernel where that is killed.
class CacheFiles::Lock {
 public:
  explicit Lock(const File& file) : file_(file) {
    while (flock(file_.get(), LOCK_EX) != 0) {
      check(errno == EINTR, ErrorCode::io, "its directory cannot be locked: {}", text_of(errno));
    }
  }
  ~Lock() { flock(file_.get(), LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  const File& file_;
};

CacheFiles::CacheFiles(const std::string& directory) {
  std::error_code error;
  const auto root = fs::absolute(directory, error) / "faro-cache-1";
  if (!error) fs::create_directories(root, error);
  if (error) fail_start(directory, "it cannot be made", error.value());
  root_ = root.string();
  lock_ = File(open((root_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock_.is_open()) fail_start(directory, "it cannot be written to", errno);
  if (access(root_.c_str(), W_OK | X_OK) != 0) {
    fail_start(directory, "it cannot be written to", errno);
  }
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) {
    flock(lock_.get(), LOCK_UN);
  } else if (errno != EWOULDBLOCK && errno != EINTR) {
    fail_start(directory, "it cannot be locked (flock)", errno);
  }
}

std::string CacheFiles::path(const Key& key) const {
  const auto text = key.text();
  return fmt::format("{}/{}/{}", root_, text.substr(0, 2), text);
}

std::uint64_t CacheFiles::used() const {
  std::uint64_t bytes = 0;
  // Cut short or never written: as if full, until it is mended.
  const bool whole = pread(lock_.get(), &bytes, sizeof(bytes), 0) == sizeof(bytes);
  return whole ? bytes : UINT64_MAX;
}

void CacheFiles::set_used(std::uint64_t bytes) const {
  check(pwrite(lock_.get(), &bytes, sizeof(bytes), 0) == sizeof(bytes), ErrorCode::io,
        "{}/lock: {}", root_, text_of(errno));
}

void CacheFiles::lower_used(std::uint64_t bytes) const {
  const auto now = used();
  set_used(now - std::min(now, cost_of(bytes)));
}

bool CacheFiles::remove_leftover(const std::string& name) const {
  const File file(open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return file.is_open() && flock(file.get(), LOCK_EX | LOCK_NB) == 0 && unlink(name.c_str()) == 0;
}

std::vector<CacheFiles::Found> CacheFiles::mend(std::uint64_t limit) {
  const Lock lock(lock_);
  std::vector<Found> found;
  std::uint64_t total = cost_of(1);  // the lock's own
  std::error_code ignored;
  for (const auto& folder : fs::directory_iterator(root_, ignored)) {
    if (folder.path().filename().string().size() != 2) continue;
    for (const auto& file : fs::directory_iterator(folder.path(), ignored)) {
      const auto name = file.path().filename().string();
      const auto key = Key::parse(std::string_view(name).substr(0, 32));
      struct stat status {};
      if (!key || lstat(file.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
      const auto bytes = static_cast<std::uint64_t>(status.st_size);
      if (name.size() == 32) {
        found.push_back({*key, bytes, touched_at(status)});
        total += cost_of(bytes);
      } else if (name.ends_with(".part") && !remove_leftover(file.path())) {
        total += cost_of(bytes);
      }
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.touched < b.touched; });
  auto first_kept = found.begin();
  for (; total > limit && first_kept != found.end(); ++first_kept) {
    if (unlink(path(first_kept->key).c_str()) == 0) total -= cost_of(first_kept->bytes);
  }
  found.erase(found.begin(), first_kept);
  set_used(total);
  return found;
}

CacheFiles::Room CacheFiles::make(const Key& key, std::uint64_t bytes, std::uint64_t limit,
                                  File& file, std::string& name) {
  const auto target = path(key);
  const Lock lock(lock_);
  struct stat status {};
  if (lstat(target.c_str(), &status) == 0) return Room::present;
  const auto now = used();
  const auto cost = cost_of(bytes);
  if (cost > limit || now > limit - cost) return Room::full;
  set_used(now + cost);
  name = fmt::format("{}.{}.{}.part", target, getpid(), next_++);
  mkdir(target.substr(0, target.find_last_of('/')).c_str(), 0777);
  file = File(open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  int error = file.is_open() ? 0 : errno;
  if (error == 0 && flock(file.get(), LOCK_EX | LOCK_NB) != 0) error = errno;
  if (error == 0 && fallocate(file.get(), 0, 0, static_cast<off_t>(bytes)) != 0) {
    // Where room cannot be taken ahead, a full disk shows when it is written to.
    error = errno != EOPNOTSUPP                                     ? errno
            : ftruncate(file.get(), static_cast<off_t>(bytes)) == 0 ? 0
                                                                    : errno;
  }
  if (error == 0) return Room::made;
  if (file.is_open()) unlink(name.c_str());
  set_used(now);
  fail(ErrorCode::io, "{}: {}", name, text_of(error));
}

void CacheFiles::publish(const Key& key, const std::string& name, std::uint64_t bytes) {
  const auto target = path(key);
  const Lock lock(lock_);
  struct stat status {};
  // Another job may have been faster, with the same bytes.
  if (lstat(target.c_str(), &status) != 0 && rename(name.c_str(), target.c_str()) == 0) return;
  if (unlink(name.c_str()) == 0) lower_used(bytes);
}

void CacheFiles::discard(const std::string& name, std::uint64_t bytes) {
  const Lock lock(lock_);
  if (unlink(name.c_str()) == 0) lower_used(bytes);
}

bool CacheFiles::remove(const Key& key, const std::int64_t* untouched_since) {
  const auto target = path(key);
  const Lock lock(lock_);
  struct stat status {};
  if (lstat(target.c_str(), &status) != 0) return false;
  if (untouched_since != nullptr && touched_at(status) != *untouched_since) return false;
  if (S_ISDIR(status.st_mode)) return rmdir(target.c_str()) == 0;  // nobody's: was never counted
  if (unlink(target.c_str()) != 0) return false;
  lower_used(static_cast<std::uint64_t>(status.st_size));
  return true;
}

void CacheFiles::touch(const Key& key) const {
  utimensat(AT_FDCWD, path(key).c_str(), nullptr, 0);
}

}  // namespace faro::fetch
