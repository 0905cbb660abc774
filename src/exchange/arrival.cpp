#include "exchange/arrival.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/huge_pages.hpp"
#include "exchange/arena.hpp"

namespace faro::exchange {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t line = 64;
constexpr const char* name = "arrival buffers";

// A buffer's `used` holds the number of the round in its upper bits, so that the first of a round
// to ask for room starts over: nobody must be waited for to clear it.
constexpr unsigned used_bits = 40;  // lines of 64 bytes: 64 TiB
constexpr std::uint64_t used_mask = (std::uint64_t{1} << used_bits) - 1;

std::uint64_t load(std::uint64_t& value) {
  return std::atomic_ref(value).load(std::memory_order_acquire);
}
void store(std::uint64_t& value, std::uint64_t to) {
  std::atomic_ref(value).store(to, std::memory_order_release);
}

}  // namespace

// The memory: a line for each member, the buffers' state, their lanes, and from a page on the data.

std::uint64_t Arrivals::footprint(const Shape& shape, std::uint64_t members) {
  const auto state = members * line + shape.buffers * sizeof(Buffer) +
                     checked_mul(shape.buffers, shape.lanes * sizeof(Lane));
  return align_up(state, page) + checked_mul(shape.buffers, align_up(shape.bytes, page));
}

Arrivals::Arrivals(const Shape& shape, comm::Communicator* group)
    : shape_(shape),
      members_(group == nullptr ? 1 : static_cast<std::uint64_t>(group->size())),
      member_(group == nullptr ? 0 : static_cast<std::uint64_t>(group->rank())),
      touched_(shape.buffers, 0) {
  shape_.bytes = align_up(shape.bytes, page);
  const auto all = footprint(shape_, members_);
  const auto state = all - shape_.buffers * shape_.bytes;
  if (members_ == 1) {
    private_.emplace(all, name);
    memory_ = private_->bytes();
    populate(memory_.first(state), false, name);
    return;
  }
  comm::together(*group, [&] {
    const auto space = shared_space();
    check(all <= space.free, ErrorCode::memory,
          "the arrival buffers of this node need {} of shared memory, but {} has {} for them: "
          "enlarge it, lower --global-batch or --leases, or set --exchange direct",
          human_bytes(static_cast<double>(all)), space.directory,
          human_bytes(static_cast<double>(space.free)));
  });
  shared_ = group->share(member_ == 0 ? all : 0);
  memory_ = shared_->segment(0);
  comm::together(*group, [&] {
    huge_pages(memory_);
    populate(memory_.first(state), true, name);
  });
}

Arrivals::Lane& Arrivals::lane(std::uint64_t round, std::uint64_t lane) const {
  auto* first = memory_.data() + members_ * line + shape_.buffers * sizeof(Buffer);
  return reinterpret_cast<Lane*>(first)[round % shape_.buffers * shape_.lanes + lane];
}

Arrivals::Buffer& Arrivals::buffer(std::uint64_t round) const {
  auto* first = memory_.data() + members_ * line;
  return reinterpret_cast<Buffer*>(first)[round % shape_.buffers];
}

std::uint64_t& Arrivals::told(std::uint64_t member) const {
  return *reinterpret_cast<std::uint64_t*>(memory_.data() + member * line);
}

std::span<std::byte> Arrivals::data(std::uint64_t round) const {
  return memory_.subspan(memory_.size() - (shape_.buffers - round % shape_.buffers) * shape_.bytes,
                         shape_.bytes);
}

void Arrivals::mirror_to(std::span<std::byte> device) {
  check(members_ == 1 && device.size() >= buffers_memory().size(), ErrorCode::internal,
        "arrival buffers of {} ranks with {} bytes cannot be mirrored in {}", members_,
        buffers_memory().size(), device.size());
  device_ = device;
  // What the host sees of samples lies here and there: with huge pages it would take all of it.
  small_pages(buffers_memory());
}

std::span<std::byte> Arrivals::buffers_memory() const {
  return memory_.last(shape_.buffers * shape_.bytes);
}

std::span<std::byte> Arrivals::mirror(std::span<const std::byte> room) const {
  const auto offset = static_cast<std::uint64_t>(room.data() - buffers_memory().data());
  return device_.subspan(offset, room.size());
}

void Arrivals::want(std::uint64_t round, std::uint64_t lane) {
  store(this->lane(round, lane).wanted, round + 1);
}

void Arrivals::wants_told(std::uint64_t round) {
  store(told(member_), round + 1);
}

bool Arrivals::wants_known(std::uint64_t round) const {
  for (std::uint64_t member = 0; member < members_; ++member) {
    if (load(told(member)) <= round) return false;
  }
  return true;
}

bool Arrivals::wanted(std::uint64_t round, std::uint64_t lane) const {
  return load(this->lane(round, lane).wanted) == round + 1;
}

std::span<std::byte> Arrivals::room(std::uint64_t round, std::uint64_t bytes) {
  std::atomic_ref used(buffer(round).used);
  const auto mark = (round + 1) << used_bits;
  auto seen = used.load();
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  do {
    begin = (seen & ~used_mask) == mark ? (seen & used_mask) * line : 0;
    end = checked_add(begin, align_up(bytes, line));
    check(end <= shape_.bytes, ErrorCode::internal,
          "an arrival buffer of {} bytes is too small for {} more than {}", shape_.bytes, bytes,
          begin);
  } while (!used.compare_exchange_weak(seen, mark | end / line));
  touch(round, end);
  return data(round).subspan(begin, bytes);
}

void Arrivals::arrived(std::uint64_t round, std::uint64_t lane,
                       std::span<const std::byte> message) {
  auto& entry = this->lane(round, lane);
  entry.offset = static_cast<std::uint64_t>(message.data() - data(round).data());
  entry.bytes = message.size();
  store(entry.arrived, round + 1);
}

std::span<const std::byte> Arrivals::message(std::uint64_t round, std::uint64_t lane) const {
  auto& entry = this->lane(round, lane);
  if (load(entry.arrived) != round + 1) return {};
  return data(round).subspan(entry.offset, entry.bytes);
}

void Arrivals::prepare(std::uint64_t bytes) {
  for (std::uint64_t round = 0; round < shape_.buffers; ++round) {
    touch(round, std::min(bytes, shape_.bytes));
  }
}

void Arrivals::touch(std::uint64_t round, std::uint64_t bytes) {
  auto& there = touched_[round % shape_.buffers];
  if (bytes <= there || mirrored()) return;
  populate(data(round).subspan(there, bytes - there), members_ > 1, name);
  there = bytes;
  std::atomic_ref peak(buffer(round).peak);
  for (auto most = peak.load(); most < bytes && !peak.compare_exchange_weak(most, bytes);) {
  }
}

std::uint64_t Arrivals::peak_share() const {
  std::uint64_t bytes = 0;
  for (std::uint64_t round = 0; round < shape_.buffers; ++round) {
    bytes += load(buffer(round).peak);
  }
  return (bytes + memory_.size() - shape_.buffers * shape_.bytes) / members_;
}

void Arrivals::abandon() {
  static_cast<void>(shared_.release());
  if (private_) private_->abandon();
}

}  // namespace faro::exchange
