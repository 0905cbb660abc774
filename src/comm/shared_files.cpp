#include "comm/shared_files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace faro::comm {
namespace {

class File {
 public:
  File(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    check(fd_ >= 0, ErrorCode::memory, "shared memory: {}: {}", path, std::strerror(errno));
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

/// Where a rank's file is.
struct Place {
  std::int64_t process = 0;
  std::int64_t fd = 0;
  std::uint64_t bytes = 0;
};

class Mappings final : public SharedMemory {
 public:
  Mappings() = default;
  Mappings(const Mappings&) = delete;
  Mappings& operator=(const Mappings&) = delete;
  ~Mappings() override {
    for (const auto segment : segments_) {
      if (!segment.empty()) munmap(segment.data(), segment.size());
    }
  }
  /// \param fd -1 for private memory
  void add(std::uint64_t bytes, int fd) {
    if (bytes == 0) {
      segments_.emplace_back();
      return;
    }
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    check(at != MAP_FAILED, ErrorCode::memory, "no {} of shared memory: {}",
          human_bytes(static_cast<double>(bytes)), std::strerror(errno));
    segments_.emplace_back(static_cast<std::byte*>(at), bytes);
  }
  std::span<std::byte> segment(int rank) override {
    return segments_.at(static_cast<std::size_t>(rank));
  }
  void sync() override { order_.fetch_add(1); }  // a fence that TSan knows

 private:
  std::atomic<std::uint64_t> order_ = 0;
  std::vector<std::span<std::byte>> segments_;
};

}  // namespace

std::unique_ptr<SharedMemory> share_files(Communicator& node, std::uint64_t bytes) {
  auto memory = std::make_unique<Mappings>();
  if (node.size() == 1) {
    memory->add(bytes, -1);
    return memory;
  }
  std::unique_ptr<File> mine;  // GCC 12 takes an optional one for uninitialised
  together(node, [&] {
    mine = std::make_unique<File>("/dev/shm", O_TMPFILE | O_RDWR);
    check(ftruncate(mine->fd(), narrow<off_t>(bytes)) == 0, ErrorCode::memory,
          "no {} of shared memory: {}", human_bytes(static_cast<double>(bytes)),
          std::strerror(errno));
  });
  const Place place{getpid(), mine->fd(), bytes};
  const auto places = node.all_gather(std::as_bytes(std::span(&place, 1)));
  together(node, [&] {  // and no rank closes its file before all have opened it
    for (int rank = 0; rank < node.size(); ++rank) {
      Place theirs;
      std::memcpy(&theirs, places.data() + static_cast<std::size_t>(rank) * sizeof(theirs),
                  sizeof(theirs));
      if (rank == node.rank()) {
        memory->add(bytes, mine->fd());
      } else {
        const File file(fmt::format("/proc/{}/fd/{}", theirs.process, theirs.fd), O_RDWR);
        memory->add(theirs.bytes, file.fd());
      }
    }
  });
  return memory;
}

}  // namespace faro::comm
