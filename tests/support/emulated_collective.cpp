#include "emulated_collective.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace faro::test {

struct EmulatedCollective::State {
  std::unique_ptr<comm::Communicator> comm;  // used in streams' turns alone: one at a time
  std::shared_ptr<std::atomic<bool>> aborted = std::make_shared<std::atomic<bool>>(false);
  std::mutex mutex;  // guards what follows
  std::optional<Error> failed;

  [[nodiscard]] std::optional<Error> failure() {
    const std::scoped_lock lock(mutex);
    return failed;
  }
};

namespace {

/// Called until it is true. MPI works on copies: device memory is there in the stream's turn alone.
template <class T>
struct Work {
  std::shared_ptr<EmulatedCollective::State> state;
  std::vector<T> mine;
  std::vector<T> sums;
  std::unique_ptr<comm::Operation> operation;

  template <class Start, class Finish>
  bool go_on(Start start, Finish finish) {
    if (*state->aborted) {
      if (operation) {  // MPI may still write to the memory
        state->comm->leave_behind();
        static_cast<void>(operation.release());
        static_cast<void>(new std::pair(std::move(mine), std::move(sums)));
      }
      return true;
    }
    if (state->failure()) return false;
    if (!operation) operation = start();
    if (!operation->done()) return false;
    finish();
    return true;
  }
};

}  // namespace

EmulatedCollective::EmulatedCollective(EmulatedDevice& device,
                                       std::unique_ptr<comm::Communicator> comm)
    : device_(device), state_(std::make_shared<State>()) {
  state_->comm = std::move(comm);
}

EmulatedCollective::~EmulatedCollective() = default;

void EmulatedCollective::all_reduce(std::span<float> values, cuda::Stream& stream) {
  check(!*state_->aborted, ErrorCode::device, "emulated NCCL: aborted");
  auto work = std::make_shared<Work<float>>();
  work->state = state_;
  device_.put(stream, [values, work] {
    return work->go_on(
        [&] {
          work->mine.assign(values.begin(), values.end());
          work->sums.resize(values.size());
          return work->state->comm->start_sum(work->mine, work->sums);
        },
        [&] { std::ranges::copy(work->sums, values.begin()); });
  });
}

void EmulatedCollective::broadcast(std::span<std::byte> bytes, int root, cuda::Stream& stream) {
  check(!*state_->aborted, ErrorCode::device, "emulated NCCL: aborted");
  auto work = std::make_shared<Work<std::uint64_t>>();
  work->state = state_;
  device_.put(stream, [bytes, root, work] {
    return work->go_on(
        [&] {  // the sum of root's bits and nobody else's
          auto& comm = *work->state->comm;
          work->mine.resize((bytes.size() + 7) / 8);
          if (comm.rank() == root) std::memcpy(work->mine.data(), bytes.data(), bytes.size());
          return comm.start_all_reduce(work->mine, comm::Op::sum);
        },
        [&] { std::memcpy(bytes.data(), work->mine.data(), bytes.size()); });
  });
}

std::optional<Error> EmulatedCollective::failure() {
  return state_->failure();
}

void EmulatedCollective::abort() noexcept {
  *state_->aborted = true;
}

void EmulatedCollective::fail(const Error& error) {
  const std::scoped_lock lock(state_->mutex);
  state_->failed = error;
}

std::shared_ptr<const std::atomic<bool>> EmulatedCollective::aborted() const {
  return state_->aborted;
}

}  // namespace faro::test
