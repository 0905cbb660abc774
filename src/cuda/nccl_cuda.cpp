#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/runtime.hpp"
#include "cuda/nccl.hpp"
#include "cuda/runtime.hpp"

namespace faro::cuda {
namespace {

/// Error(device) of a call; CUDA's last error, which NCCL may have left, is cleared.
[[nodiscard]] Error error_of(ncclResult_t status, std::string_view call, ncclComm_t comm) {
  cudaGetLastError();
  const char* last = ncclGetLastError(comm);  // "" where there was none
  return {ErrorCode::device,
          fmt::format("{}: {}{}{}", call, ncclGetErrorString(status),
                      last == nullptr || *last == 0 ? "" : ": ", last == nullptr ? "" : last)};
}

struct Abort {
  void operator()(ncclComm_t comm) const noexcept { ncclCommAbort(comm); }
};

/// All calls are non-blocking ones: NCCL says ncclInProgress, and is asked until it says something
/// else, or the time is up.
class Nccl final : public Collective {
 public:
  Nccl(const Device& device, const CollectiveId& id, int ranks, int rank, double timeout)
      : device_(device.number()), timeout_(timeout) {
    ncclUniqueId unique{};
    static_assert(sizeof(unique) == sizeof(id));
    std::memcpy(&unique, id.data(), id.size());
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const Current current(device_);
    ncclComm_t comm = nullptr;
    const auto status = ncclCommInitRankConfig(&comm, ranks, unique, rank, &config);
    comm_.reset(comm);
    finish(status, "ncclCommInitRankConfig", timeout_);
  }
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;
  ~Nccl() override {
    if (!comm_) return;
    try {
      const Current current(device_);
      constexpr double patience = 10;  // the others are in their destructors, or have failed
      finish(ncclCommFinalize(comm_.get()), "ncclCommFinalize", std::min(timeout_, patience));
      ncclCommDestroy(comm_.release());
    } catch (const Error&) {
      abort();
    }
  }

  void all_reduce(std::span<float> values, Stream& stream) override {
    const Current current(device_);
    finish(ncclAllReduce(values.data(), values.data(), values.size(), ncclFloat, ncclSum, usable(),
                         static_cast<cudaStream_t>(stream.native())),
           "ncclAllReduce", timeout_);
  }

  void broadcast(std::span<std::byte> bytes, int root, Stream& stream) override {
    const Current current(device_);
    finish(ncclBroadcast(bytes.data(), bytes.data(), bytes.size(), ncclUint8, root, usable(),
                         static_cast<cudaStream_t>(stream.native())),
           "ncclBroadcast", timeout_);
  }

  std::optional<Error> failure() override {
    auto status = ncclSuccess;
    const auto asked = ncclCommGetAsyncError(usable(), &status);
    if (asked != ncclSuccess) return error_of(asked, "ncclCommGetAsyncError", comm_.get());
    if (status == ncclSuccess || status == ncclInProgress) return std::nullopt;
    return error_of(status, "a collective of NCCL's", comm_.get());
  }

  void abort() noexcept override {
    comm_.reset();
    cudaGetLastError();
  }

  std::string name() const override {
    int version = 0;
    ncclGetVersion(&version);
    return fmt::format("NCCL {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  }

 private:
  [[nodiscard]] ncclComm_t usable() const {
    check(comm_ != nullptr, ErrorCode::device, "the ranks' NCCL communicator was aborted");
    return comm_.get();
  }

  // Only when a call has ended has NCCL put its work on the stream, so that an event goes behind
  // it.
  void finish(ncclResult_t status, const char* call, double timeout) const {
    const auto start = Clock::now();
    while (status == ncclInProgress) {
      const auto asked = ncclCommGetAsyncError(comm_.get(), &status);
      if (asked != ncclSuccess) status = asked;
      if (status != ncclInProgress) break;
      check(seconds_since(start) < timeout, ErrorCode::peer,
            "{} has not ended for {:.3g} s: a rank is silent", call, timeout);
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    if (status != ncclSuccess) throw Error(error_of(status, call, comm_.get()));
  }

  int device_;
  double timeout_;
  std::unique_ptr<ncclComm, Abort> comm_;
};

}  // namespace

CollectiveId make_collective_id() {
  ncclUniqueId unique{};
  const auto status = ncclGetUniqueId(&unique);
  if (status != ncclSuccess) throw Error(error_of(status, "ncclGetUniqueId", nullptr));
  CollectiveId id;
  std::memcpy(id.data(), &unique, id.size());
  return id;
}

std::unique_ptr<Collective> make_collective(const Device& device, const CollectiveId& id, int ranks,
                                            int rank, double timeout) {
  return std::make_unique<Nccl>(device, id, ranks, rank, timeout);
}

}  // namespace faro::cuda
