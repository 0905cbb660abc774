#include "loader/device_messages.hpp"

#include <algorithm>
#include <array>

#include "base/runtime.hpp"

namespace faro::loader {
namespace {

constexpr std::uint64_t bytes_sent = 256U << 10;  // more than MPI copies beside a small message
constexpr int tag = 1;
constexpr std::byte pattern{0xa5};

/// Device memory, and a way to fill and to read it.
class Buffer {
 public:
  explicit Buffer(cuda::Device& device)
      : memory_(device.allocate(bytes_sent)),
        pinned_(device.allocate_pinned(bytes_sent)),
        stream_(device.make_stream()),
        event_(device.make_event()) {}

  [[nodiscard]] std::span<std::byte> device_memory() const { return memory_->bytes(); }
  void fill(std::byte value) {
    std::ranges::fill(pinned_->bytes(), value);
    copy(*memory_, *pinned_);
  }
  [[nodiscard]] bool holds(std::byte value) {
    copy(*pinned_, *memory_);
    return std::ranges::all_of(pinned_->bytes().first(bytes_sent),
                               [&](std::byte one) { return one == value; });
  }

 private:
  void copy(const cuda::Memory& to, const cuda::Memory& from) {
    stream_->copy(to.bytes().data(), from.bytes().data(), bytes_sent);
    stream_->record(*event_);
    event_->wait();
  }

  std::unique_ptr<cuda::Memory> memory_;
  std::unique_ptr<cuda::Memory> pinned_;
  std::unique_ptr<cuda::Stream> stream_;
  std::unique_ptr<cuda::Event> event_;
};

/// The lowest rank's problem, on all; empty where none has one. Collective.
std::string first_problem(comm::Communicator& node, const std::string& mine) {
  std::array<std::uint64_t, 1> first{mine.empty() ? UINT64_MAX
                                                  : static_cast<std::uint64_t>(node.rank())};
  node.all_reduce(first, comm::Op::min);
  if (first[0] == UINT64_MAX) return {};
  return comm::broadcast_text(node, mine, static_cast<int>(first[0]));
}

/// What `work` fails with; empty where it does not.
template <class Work>
std::string problem_of(Work&& work) {
  try {
    work();
  } catch (...) {
    return comm::current_error(-1).what();
  }
  return {};
}

template <class Done>
bool wait_for(Done done, Clock::time_point until) {
  while (!done()) {
    if (Clock::now() >= until) return false;
    yield();
  }
  return true;
}

}  // namespace

std::string try_device_messages(comm::Communicator& node, std::optional<bool> says,
                                const OpenDevice& open, double patience_seconds) {
  std::array<std::uint64_t, 1> all_have{open ? 1U : 0U};
  node.all_reduce(all_have, comm::Op::min);
  if (all_have[0] == 0) return "not probed: no device";
  if (!says) return "not probed: MPI does not say whether it takes device memory";
  if (!*says) return "no: MPI says that it takes host memory alone";
  if (node.size() < 2) return "not probed: it takes two ranks of a node";

  std::shared_ptr<cuda::Device> device;
  std::unique_ptr<Buffer> buffer;
  const bool first = node.rank() == 0;
  const bool takes_part = node.rank() < 2;
  auto problem = first_problem(node, problem_of([&] {
                                 if (!takes_part) return;
                                 device = open();
                                 buffer = std::make_unique<Buffer>(*device);
                                 buffer->fill(first ? pattern : std::byte{0});
                               }));
  if (!problem.empty()) return "not probed: " + problem;

  std::unique_ptr<comm::Operation> operation;
  bool ended = !takes_part;
  problem = first_problem(
      node, problem_of([&] {
        if (!takes_part) return;
        const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                              std::chrono::duration<double>(patience_seconds));
        if (first) {
          operation = node.start_send(buffer->device_memory().first(bytes_sent), 1, tag);
        } else {
          std::optional<comm::Incoming> message;
          wait_for([&] { return (message = node.probe(tag)).has_value(); }, until);
          if (message) operation = node.start_receive(*message, buffer->device_memory());
        }
        ended = operation && wait_for([&] { return operation->done(); }, until);
        check(ended, ErrorCode::timeout, "no message in {} s", patience_seconds);
        check(first || buffer->holds(pattern), ErrorCode::corrupt, "wrong bytes have come");
      }));
  if (takes_part && !ended) {  // MPI may still use it
    node.leave_behind();
    (void)operation.release();
    (void)buffer.release();
  }
  return problem.empty() ? "yes: a message between two ranks came right"
                         : "no, although MPI says so: " + problem;
}

}  // namespace faro::loader
