#include "loader/device_messages.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/runtime.hpp"

namespace faro::loader {
namespace {

constexpr std::uint64_t bytes_sent = 256U << 10;  // more than MPI copies beside a small message
constexpr int tag = 1;
constexpr std::byte pattern{0xa5};

/// A rank's part in it.
class Trial {
 public:
  Trial(comm::Communicator& comm, std::shared_ptr<cuda::Device> device,
        std::span<const int> senders)
      : comm_(comm),
        device_(std::move(device)),
        received_(device_->allocate(bytes_sent)),
        pinned_(device_->allocate_pinned(bytes_sent)),
        stream_(device_->make_stream()),
        event_(device_->make_event()),
        awaited_(senders[static_cast<std::size_t>(comm.rank())] >= 0) {
    stream_->zero(received_->bytes().data(), bytes_sent);
    await();
    std::ranges::fill(pinned_->bytes(), pattern);
    for (std::size_t rank = 0; rank < senders.size(); ++rank) {
      if (senders[rank] == comm.rank()) receivers_.push_back(static_cast<int>(rank));
    }
  }

  /// Sends and receives; false where it has not ended by then.
  bool run(Clock::time_point until) {
    bool ended = false;
    device_->with_current([&] {
      for (const auto rank : receivers_) {
        operations_.push_back(comm_.start_send(pinned_->bytes().first(bytes_sent), rank, tag));
      }
      while (!(ended = done()) && Clock::now() < until) yield();
    });
    return ended;
  }
  [[nodiscard]] bool came_right() {
    if (!came_) return true;  // nobody sends to it
    std::ranges::fill(pinned_->bytes(), std::byte{0});
    stream_->copy(pinned_->bytes().data(), received_->bytes().data(), bytes_sent);
    await();
    return std::ranges::all_of(pinned_->bytes().first(bytes_sent),
                               [](std::byte one) { return one == pattern; });
  }
  /// MPI may use its memory for ever.
  void abandon() {
    comm_.leave_behind();
    for (auto& operation : operations_) static_cast<void>(operation.release());
    static_cast<void>(received_.release());
    static_cast<void>(pinned_.release());
  }

 private:
  bool done() {
    if (awaited_ && !came_) {
      const auto message = comm_.probe(tag);
      if (!message) return false;
      operations_.push_back(
          comm_.start_receive(*message, received_->bytes().first(message->bytes)));
      came_ = true;
    }
    std::erase_if(operations_, [](const auto& operation) { return operation->done(); });
    return operations_.empty();
  }
  void await() {
    stream_->record(*event_);
    event_->wait();
  }

  comm::Communicator& comm_;
  std::shared_ptr<cuda::Device> device_;
  std::unique_ptr<cuda::Memory> received_;
  std::unique_ptr<cuda::Memory> pinned_;
  std::unique_ptr<cuda::Stream> stream_;
  std::unique_ptr<cuda::Event> event_;
  bool awaited_;
  bool came_ = false;
  std::vector<int> receivers_;
  std::vector<std::unique_ptr<comm::Operation>> operations_;
};

}  // namespace

DeviceMessages try_device_messages(comm::Communicator& comm, std::optional<bool> says,
                                   const OpenDevice& open, std::span<const int> senders,
                                   double patience_seconds) {
  std::array<std::uint64_t, 1> all_have{open ? 1U : 0U};
  comm.all_reduce(all_have, comm::Op::min);
  if (all_have[0] == 0) return {false, "not tried: no device"};
  if (!says) return {false, "not tried: MPI does not say whether it takes device memory"};
  if (!*says) return {false, "no: MPI says that it takes host memory alone"};
  if (std::ranges::all_of(senders, [](int rank) { return rank < 0; })) {
    return {false, "not tried: it takes two ranks"};
  }

  std::unique_ptr<Trial> trial;
  auto problem =
      comm::problem_of(comm, [&] { trial = std::make_unique<Trial>(comm, open(), senders); });
  if (!problem.empty()) return {false, "not tried: " + problem};
  problem = comm::problem_of(comm, [&] {
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(patience_seconds));
    if (!trial->run(until)) {
      trial->abandon();
      fail(ErrorCode::timeout, "no message in {} s", patience_seconds);
    }
    check(trial->came_right(), ErrorCode::corrupt, "wrong bytes have come");
  });
  if (!problem.empty()) return {false, "no, although MPI says so: " + problem};
  return {true, "yes: a message from another rank came right"};
}

}  // namespace faro::loader
