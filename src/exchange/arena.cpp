#include "exchange/arena.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/huge_pages.hpp"
#include "exchange/pages.hpp"

namespace faro::exchange {
namespace {

// The first page of a segment holds what its rank publishes; the ring follows.
constexpr std::uint64_t control_bytes = 4096;
// Memory is taken in steps of this size: large enough to cost few calls, small beside a window.
constexpr std::uint64_t populate_step = std::uint64_t{4} << 20;

std::atomic<std::uint64_t>& released_of(std::span<std::byte> segment) {
  return *std::launder(reinterpret_cast<std::atomic<std::uint64_t>*>(segment.data()));
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
  SharedSpace space{"/dev/shm", 0};
  struct statvfs info {};
  check(statvfs(space.directory.c_str(), &info) == 0, ErrorCode::memory,
        "{}: no shared memory here: {}", space.directory, std::strerror(errno));
  // MPI's own transports take some as well.
  space.free = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize / 10 * 9;
  return space;
}

Arena::Arena(comm::Communicator& node, std::uint64_t capacity,
             const std::function<void(std::span<std::byte>)>& prepare)
    : capacity_(capacity), rank_(node.rank()), memory_(take(node, capacity)) {
  for (int rank = 0; rank < node.size(); ++rank) segments_.push_back(memory_->segment(rank));
  auto& mine = segments_[static_cast<std::size_t>(rank_)];
  comm::together(node, [&] {
    huge_pages(mine);
    if (prepare) prepare(mine);
    populate(0, 1);  // the control page, and a first proof that there is memory
    new (mine.data()) std::atomic<std::uint64_t>(0);
  });
}

std::byte* Arena::at(int node_rank, std::uint64_t address) const {
  // Mostly without the division.
  const auto offset = address < capacity_ ? address : address % capacity_;
  return segments_[static_cast<std::size_t>(node_rank)].data() + control_bytes + offset;
}

void Arena::populate(std::uint64_t address, std::uint64_t bytes) {
  const auto mine = segments_[static_cast<std::size_t>(rank_)];
  const std::uint64_t end = control_bytes + address % capacity_ + bytes;
  const auto wanted = std::min<std::uint64_t>(align_up(end, populate_step), mine.size());
  if (end <= populated_) return;
  exchange::populate(mine.subspan(populated_, wanted - populated_), segments_.size() > 1,
                     "the arena");
  populated_ = wanted;
}

void Arena::publish_released(std::uint64_t steps) {
  released_of(segments_[static_cast<std::size_t>(rank_)]).store(steps, std::memory_order_release);
}

std::uint64_t Arena::released() const {
  std::uint64_t least = UINT64_MAX;
  for (const auto segment : segments_) {
    least = std::min(least, released_of(segment).load(std::memory_order_acquire));
  }
  return least;
}

}  // namespace faro::exchange
