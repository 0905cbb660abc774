#include "exchange/arena.hpp"

#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/huge_pages.hpp"

namespace faro::exchange {
namespace {

// The first page of a segment holds what its rank publishes; the ring follows.
constexpr std::uint64_t control_bytes = 4096;
// Memory is taken in steps of this size: large enough to cost few calls, small beside a window.
constexpr std::uint64_t populate_step = std::uint64_t{4} << 20;

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct Control {
  std::atomic<std::uint64_t> released = 0;
  std::atomic<int> verdict = 0;  // the first rank's alone: 1 to free together, 2 not to
};

Control& control_of(std::span<std::byte> segment) {
  return *std::launder(reinterpret_cast<Control*>(segment.data()));
}

std::unique_ptr<comm::SharedMemory> take(comm::Communicator& node, std::uint64_t capacity) {
  comm::together(node, [&] {
    if (node.size() == 1) return;  // private memory
    const auto space = shared_space();
    const std::uint64_t wanted =
        (capacity + control_bytes) * static_cast<std::uint64_t>(node.size());
    check(wanted <= space.free, ErrorCode::memory,
          "the arena of this node's {} ranks needs {} of shared memory, but {} has {} for it: "
          "enlarge it, or lower --window or --memory",
          node.size(), human_bytes(static_cast<double>(wanted)), space.directory,
          human_bytes(static_cast<double>(space.free)));
  });
  return node.share(capacity + control_bytes);
}

}  // namespace

SharedSpace shared_space() {
  // Where Open MPI puts shared windows, unless it is told otherwise.
  const char* told = std::getenv("OMPI_MCA_osc_sm_backing_directory");
  SharedSpace space{told != nullptr ? told : "/dev/shm", 0};
  struct statvfs info {};
  check(statvfs(space.directory.c_str(), &info) == 0, ErrorCode::memory,
        "{}: no shared memory here: {}", space.directory, std::strerror(errno));
  // Open MPI refuses a segment that would leave less than 5 % of it, and does so on one rank, while
  // the others wait for ever. Its own transports take some as well.
  space.free = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize / 10 * 9;
  return space;
}

Arena::Arena(comm::Communicator& node, std::uint64_t capacity)
    : capacity_(capacity), rank_(node.rank()), memory_(take(node, capacity)) {
  for (int rank = 0; rank < node.size(); ++rank) segments_.push_back(memory_->segment(rank));
  auto& mine = segments_[static_cast<std::size_t>(rank_)];
  comm::together(node, [&] {
    huge_pages(mine);
    populate(0, 1);  // the control page, and a first proof that there is memory
    new (mine.data()) Control;
  });
}

std::byte* Arena::at(int node_rank, std::uint64_t address) const {
  return segments_[static_cast<std::size_t>(node_rank)].data() + control_bytes +
         address % capacity_;
}

void Arena::populate(std::uint64_t address, std::uint64_t bytes) {
  const auto mine = segments_[static_cast<std::size_t>(rank_)];
  const std::uint64_t end = control_bytes + address % capacity_ + bytes;
  while (populated_ < std::min<std::uint64_t>(end, mine.size())) {
    const std::uint64_t step = std::min<std::uint64_t>(populate_step, mine.size() - populated_);
    auto* at = mine.data() + populated_;
    // Segments start on pages. The kernel answers an error where a touch would raise SIGBUS; one
    // that is older than 5.14 does not know how, and is asked for the room before each step
    // instead.
    if (madvise(at, step, MADV_POPULATE_WRITE) != 0) {
      const bool unknown = errno == EINVAL;
      check(unknown && (segments_.size() == 1 || shared_space().free >= step), ErrorCode::memory,
            "the arena's memory ran out at {} of {}: enlarge {}, or lower --window or --memory",
            human_bytes(static_cast<double>(populated_)),
            human_bytes(static_cast<double>(mine.size())), shared_space().directory);
      for (std::uint64_t i = 0; i < step; i += control_bytes) {
        const_cast<volatile std::byte&>(at[i]) = std::byte{0};
      }
    }
    populated_ += step;
  }
}

bool Arena::settle(bool together) {
  int verdict = 0;
  auto& shared = control_of(segments_.front()).verdict;
  return shared.compare_exchange_strong(verdict, together ? 1 : 2) ? together : verdict == 1;
}

void Arena::publish_released(std::uint64_t steps) {
  control_of(segments_[static_cast<std::size_t>(rank_)])
      .released.store(steps, std::memory_order_release);
}

std::uint64_t Arena::released() const {
  std::uint64_t least = UINT64_MAX;
  for (const auto segment : segments_) {
    least = std::min(least, control_of(segment).released.load(std::memory_order_acquire));
  }
  return least;
}

}  // namespace faro::exchange
