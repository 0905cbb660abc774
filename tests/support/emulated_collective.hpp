// Collectives on emulated devices, by MPI on the host, in the turn of the stream that they are on.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "comm/comm.hpp"
#include "cuda/nccl.hpp"
#include "emulated_device.hpp"

namespace faro::test {

/// As NCCL, it goes on with what is on the stream when the stream's turn has come, and with a
/// failed communicator never, until it is aborted.
class EmulatedCollective final : public cuda::Collective {
 public:
  EmulatedCollective(EmulatedDevice& device, std::unique_ptr<comm::Communicator> comm);
  ~EmulatedCollective() override;
  void all_reduce(std::span<float> values, cuda::Stream& stream) override;
  void broadcast(std::span<std::byte> bytes, int root, cuda::Stream& stream) override;
  [[nodiscard]] std::optional<Error> failure() override;
  void abort() noexcept override;
  [[nodiscard]] std::string name() const override { return "emulated NCCL"; }

  /// From now on failure() tells of it, on this rank.
  void fail(const Error& error);

  struct State;
  /// Outlives the collective: whether abort() was called.
  [[nodiscard]] std::shared_ptr<const std::atomic<bool>> aborted() const;

 private:
  EmulatedDevice& device_;
  std::shared_ptr<State> state_;
};

}  // namespace faro::test
