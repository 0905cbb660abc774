// Local and parallel file systems: a few threads that read into the caller's memory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "store/transport.hpp"
#include "store/uri.hpp"

namespace faro::store {
namespace {

// Enough to keep an NVMe or a few Lustre servers busy with ranges of MiB; each sleeps in a read.
constexpr std::size_t most_threads = 8;
// A read is done in parts: each is summed while it is in the cache, and cancelling waits for one.
constexpr std::uint64_t part = std::uint64_t{1} << 20;

struct Descriptor {
  int fd;
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

Failure failure_of(int error, const char* call) {
  const std::string text = fmt::format("{}: {}", call, std::generic_category().message(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR: return {Cause::not_found, text};
    case EACCES:
    case EPERM: return {Cause::access_denied, text + "; check the file's permissions"};
    case EMFILE: return {Cause::io, text + "; raise the limit on open files (ulimit -n)"};
    default: return {Cause::io, text};
  }
}

ObjectInfo info_of(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size),
          fmt::format("\"{:x}-{:x}-{:x}.{:09}\"", status.st_ino, status.st_size,
                      status.st_mtim.tv_sec, status.st_mtim.tv_nsec)};
}

std::optional<Failure> compare(const ObjectInfo& found, const ObjectInfo& expected) {
  if (found.size != expected.size) {
    return Failure{Cause::changed, fmt::format("the file has {} bytes, not the {} it had",
                                               found.size, expected.size)};
  }
  if (!expected.etag.empty() && found.etag != expected.etag) {
    return Failure{Cause::changed, "the file was replaced or written to; index it again"};
  }
  return std::nullopt;
}

class FileTransport final : public Transport {
 public:
  FileTransport(const Options& options, std::function<void()> notify)
      : threads_limit_(std::min(options.max_requests, most_threads)),
        reader_begins_(options.reader_begins),
        notify_(std::move(notify)) {}

  FileTransport(const FileTransport&) = delete;
  FileTransport& operator=(const FileTransport&) = delete;

  ~FileTransport() override {
    stop_ = true;
    { const std::lock_guard lock(mutex_); }  // no worker is between its test and its sleep
    work_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void start(const Attempt& attempt) override {
    bool spawn = false;
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(&attempt);
      spawn = queue_.size() > idle_ && threads_.size() < threads_limit_;
    }
    try {
      if (spawn) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {  // fewer will do
      check(!threads_.empty(), ErrorCode::io, "no thread to read files with: {}", error.what());
    }
    work_.notify_one();
  }

  void poll(std::vector<Result>& done, std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    if (results_.empty() && !woken_ && timeout.count() > 0) {
      done_.wait_for(lock, timeout, [this] { return woken_ || !results_.empty(); });
    }
    woken_ = false;
    std::move(results_.begin(), results_.end(), std::back_inserter(done));
    results_.clear();
  }

  void wake() override {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    done_.notify_one();
  }

 private:
  void work() {
    if (reader_begins_) reader_begins_();
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      work_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      --idle_;
      if (stop_) return;
      const Attempt& attempt = *queue_.front();
      queue_.pop_front();
      lock.unlock();
      Result result;
      result.attempt = &attempt;
      try {
        result.failure = run(attempt, result);
      } catch (const Error& error) {
        result.failure = Failure{Cause::invalid, error.what()};
      } catch (const std::exception& error) {
        result.failure = Failure{Cause::io, error.what()};
      }
      lock.lock();
      results_.push_back(std::move(result));
      lock.unlock();
      done_.notify_one();
      notify_();
      lock.lock();
    }
  }

  std::optional<Failure> run(const Attempt& attempt, Result& result) {
    const Request& request = attempt.request;
    const std::string path = file_path(request.uri);
    // O_NONBLOCK: opening a FIFO must not wait for its writer.
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (file.fd < 0) return failure_of(errno, "open");
    struct stat status {};
    if (fstat(file.fd, &status) != 0) return failure_of(errno, "fstat");
    if (!S_ISREG(status.st_mode)) {
      return Failure{Cause::invalid, S_ISDIR(status.st_mode) ? "it is a directory, not a file"
                                                             : "it is not a regular file"};
    }
    result.info = info_of(status);
    if (request.expect) {
      if (auto failure = compare(result.info, *request.expect)) return failure;
    }
    if (attempt.kind == Attempt::Kind::stat) return std::nullopt;
    return read(file.fd, request, result);
  }

  std::optional<Failure> read(int fd, const Request& request, Result& result) {
    const auto [offset, length] = request.range;
    if (offset + length > result.info.size) {
      return Failure{Cause::changed, fmt::format("the file ends at byte {}", result.info.size)};
    }
    while (result.received < length) {
      if (stop_) return Failure{Cause::io, "cancelled"};
      const auto got =
          pread(fd, request.into + result.received, std::min(length - result.received, part),
                static_cast<off_t>(offset + result.received));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failure_of(errno, "read");
      if (got == 0) {
        return Failure{Cause::changed, fmt::format("the file was cut short at byte {} meanwhile",
                                                   offset + result.received)};
      }
      const auto size = static_cast<std::uint64_t>(got);
      result.crc32c = crc32c({request.into + result.received, size}, result.crc32c);
      result.received += size;
    }
    return std::nullopt;
  }

  const std::size_t threads_limit_;
  const std::function<void()> reader_begins_;
  const std::function<void()> notify_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::deque<const Attempt*> queue_;
  std::vector<Result> results_;
  std::size_t idle_ = 0;
  bool woken_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_file_transport(const Options& options,
                                               std::function<void()> notify) {
  return std::make_unique<FileTransport>(options, std::move(notify));
}

}  // namespace faro::store
