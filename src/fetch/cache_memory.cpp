// The cache in memory: one sparse file without a name, which the node's ranks share and which ends
// with them, however they end. Every block has its own place in it, so there is nothing to be
// allocated: a block that goes is a hole again.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "base/error.hpp"
#include "fetch/cache_file.hpp"
#include "fetch/cache_space.hpp"

namespace faro::fetch {
namespace {

constexpr std::uint64_t page = 4096;

/// What stands at the start of the file; all ranks have it mapped.
struct Control {
  std::atomic<std::uint64_t> used;
};
enum State : std::uint8_t { absent, changing, here };  // of a block; absent is what a hole reads as

class MemorySpace final : public CacheSpace {
 public:
  MemorySpace(std::uint64_t limit, const manifest::Manifest& manifest, comm::Communicator& node)
      : limit_(limit), blocks_(manifest.blocks.size()) {
    control_bytes_ = align_up(page + blocks_, page);
    std::uint64_t end = control_bytes_;
    for (const auto& block : manifest.blocks) {
      offset_.push_back(end);
      end = checked_add(end, entry_cost(block.length), ErrorCode::format);
    }
    std::string name;
    comm::together(node, [&] {
      if (node.rank() != 0) return;
      file_ = File(memfd_create("faro-cache", MFD_CLOEXEC));
      check(file_.is_open() && ftruncate(file_.get(), static_cast<off_t>(end)) == 0,
            ErrorCode::memory, "cache = memory: {}", std::strerror(errno));
      name = fmt::format("/proc/{}/fd/{}", getpid(), file_.get());
    });
    name = comm::broadcast_text(node, name, 0);
    comm::together(node, [&] {
      if (node.rank() != 0) file_ = File(open(name.c_str(), O_RDWR | O_CLOEXEC));
      check(file_.is_open(), ErrorCode::memory,
            "cache = memory: the node's ranks cannot share {}: {}: give cache a directory, such as "
            "one in /dev/shm",
            name, std::strerror(errno));
      control_ = mmap(nullptr, control_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
      check(control_ != MAP_FAILED, ErrorCode::memory, "cache = memory: {}", std::strerror(errno));
    });  // where it ends: all have it open
    uri_ = fmt::format("file:///proc/self/fd/{}", file_.get());
  }
  ~MemorySpace() override {
    if (control_ != MAP_FAILED) munmap(control_, control_bytes_);
  }

  std::optional<Place> find(const Entry& entry) const override {
    if (state(entry).load(std::memory_order_acquire) != here) return std::nullopt;
    return Place{uri_, offset_[entry.block]};
  }

  Put put(const Entry& entry, const EntryHeader& header,
          std::span<const std::byte> bytes) override {
    std::uint8_t expected = absent;
    if (!state(entry).compare_exchange_strong(expected, changing)) return Put::present;
    const auto cost = entry_cost(entry.length);
    auto taken = used().load();
    do {
      if (cost > limit_ || taken > limit_ - cost) {
        state(entry).store(absent);
        return Put::full;
      }
    } while (!used().compare_exchange_weak(taken, taken + cost));
    const auto at = offset_[entry.block];
    if (const int error =
            file_.write(bytes, at + sizeof(header), std::as_bytes(std::span(&header, 1)), at)) {
      give_back(entry);
      fail(ErrorCode::io, "cache = memory: {}", std::generic_category().message(error));
    }
    state(entry).store(here, std::memory_order_release);
    return Put::stored;
  }

  void remove(const Entry& entry) override {
    std::uint8_t expected = here;
    // One that reads it meanwhile finds zeros where the checksum should be.
    if (state(entry).compare_exchange_strong(expected, changing)) give_back(entry);
  }

  std::uint64_t memory() const override { return used().load(); }

 private:
  [[nodiscard]] std::atomic<std::uint64_t>& used() const {
    return std::launder(static_cast<Control*>(control_))->used;
  }
  [[nodiscard]] std::atomic<std::uint8_t>& state(const Entry& entry) const {
    auto* bytes = static_cast<std::byte*>(control_) + page + entry.block;
    return *std::launder(reinterpret_cast<std::atomic<std::uint8_t>*>(bytes));
  }
  void give_back(const Entry& entry) {
    const auto cost = entry_cost(entry.length);
    static_cast<void>(fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(offset_[entry.block]),
                                static_cast<off_t>(cost)));
    used().fetch_sub(cost);
    state(entry).store(absent);
  }

  const std::uint64_t limit_;
  const std::uint64_t blocks_;
  std::uint64_t control_bytes_ = 0;
  std::vector<std::uint64_t> offset_;  // by block: of its header
  File file_;
  void* control_ = MAP_FAILED;
  std::string uri_;
};

}  // namespace

std::unique_ptr<CacheSpace> make_memory_space(std::uint64_t limit,
                                              const manifest::Manifest& manifest,
                                              comm::Communicator& node) {
  return std::make_unique<MemorySpace>(limit, manifest, node);
}

}  // namespace faro::fetch
