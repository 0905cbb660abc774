#include "loader/device_messages.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/runtime.hpp"

namespace faro::loader {
namespace {

// MPI carries short messages otherwise than long ones; neither need lie on a round address.
constexpr std::array<std::uint64_t, 2> lengths{7, 256U << 10};
constexpr std::uint64_t first_byte = 1;
constexpr auto all_bytes = lengths[0] + lengths[1];
constexpr int tag = 1;
constexpr std::byte pattern{0xa5};

/// A rank's part in it.
class Trial {
 public:
  Trial(comm::Communicator& comm, std::shared_ptr<cuda::Device> device,
        std::span<const int> senders)
      : comm_(comm),
        device_(std::move(device)),
        received_(device_->allocate(first_byte + all_bytes)),
        seen_(device_->allocate_pinned(all_bytes)),
        stream_(device_->make_stream()),
        event_(device_->make_event()),
        awaited_(senders[static_cast<std::size_t>(comm.rank())] >= 0 ? lengths.size() : 0) {
    stream_->zero(received_->bytes().data(), first_byte + all_bytes);
    await();
    for (std::size_t rank = 0; rank < senders.size(); ++rank) {
      if (senders[rank] == comm.rank()) receivers_.push_back(static_cast<int>(rank));
    }
  }

  /// Sends and receives. What has not ended by then, or fails, is let go of with its memory, which
  /// MPI may use for ever.
  void run(Clock::time_point until) {
    try {
      device_->with_current([&] {
        for (const auto length : lengths) {
          for (const auto rank : receivers_) {
            const auto bytes = std::span(*sent_).first(length);
            operations_.push_back(comm_.start_send(bytes, rank, tag));
          }
        }
        while (!done()) {
          check(Clock::now() < until, ErrorCode::timeout, "a message does not come");
          yield();
        }
      });
    } catch (...) {
      for (auto& operation : operations_) static_cast<void>(operation.release());
      static_cast<void>(received_.release());
      static_cast<void>(sent_.release());
      throw;
    }
  }
  [[nodiscard]] bool came_right() {
    if (came_ == 0) return true;  // nobody sends to it
    std::ranges::fill(seen_->bytes(), std::byte{0});
    stream_->copy(seen_->bytes().data(), received_->bytes().data() + first_byte, all_bytes);
    await();
    return std::ranges::all_of(seen_->bytes().first(all_bytes),
                               [](std::byte one) { return one == pattern; });
  }

 private:
  bool done() {
    while (came_ < awaited_) {
      const auto message = comm_.probe(tag);
      if (!message) return false;
      const auto offset = first_byte + (came_ == 0 ? 0 : lengths[0]);
      check(message->bytes == lengths[came_], ErrorCode::corrupt, "{} bytes come instead of {}",
            message->bytes, lengths[came_]);
      operations_.push_back(
          comm_.start_receive(*message, received_->bytes().subspan(offset, message->bytes)));
      ++came_;
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
  std::unique_ptr<cuda::Memory> seen_;
  std::unique_ptr<cuda::Stream> stream_;
  std::unique_ptr<cuda::Event> event_;
  // Not page-locked, as the exchange's is not.
  std::unique_ptr<std::vector<std::byte>> sent_ =
      std::make_unique<std::vector<std::byte>>(lengths.back(), pattern);
  std::size_t awaited_;  // messages
  std::size_t came_ = 0;
  std::vector<int> receivers_;
  std::vector<std::unique_ptr<comm::Operation>> operations_;
};

}  // namespace

DeviceMessages try_device_messages(comm::Communicator& comm, std::optional<bool> says,
                                   const OpenDevice& open, std::span<const int> senders,
                                   double patience_seconds) {
  // By the least of all ranks': a device, and MPI's word, 0 for no and 2 for yes.
  std::array<std::uint64_t, 2> least{open ? 1U : 0U, says ? 2U * (*says ? 1U : 0U) : 1U};
  comm.all_reduce(least, comm::Op::min);
  if (least[0] == 0) return {false, "not tried: no device"};
  if (least[1] == 0) return {false, "no: MPI says that it takes host memory alone"};
  if (least[1] == 1) return {false, "not tried: MPI does not say whether it takes device memory"};
  if (std::ranges::all_of(senders, [](int rank) { return rank < 0; })) {
    return {false, "not tried: it takes two ranks"};
  }

  std::unique_ptr<Trial> trial;
  auto problem =
      comm::problem_of(comm, [&] { trial = std::make_unique<Trial>(comm, open(), senders); });
  if (!problem.empty()) return {false, "not tried: " + problem};
  problem = comm::problem_of(comm, [&] {
    trial->run(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                  std::chrono::duration<double>(patience_seconds)));
    check(trial->came_right(), ErrorCode::corrupt, "wrong bytes have come");
  });
  if (problem.empty()) return {true, "yes: messages from another rank came right"};
  comm.leave_behind();  // a message may be late on any of them
  return {false, "no, although MPI says so: " + problem, true};
}

}  // namespace faro::loader
