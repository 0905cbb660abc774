// What a GradientSync is, on any communicator.
#pragma once

#include <atomic>

#include "sync/steps.hpp"

namespace faro::sync {

/// The members are GradientSync's.
class Session {
 public:
  Session(std::vector<GradientParameter> parameters, const GradientSyncOptions& options,
          std::unique_ptr<comm::Communicator> comm, const MakeBackend& make = make_backend);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  [[nodiscard]] std::span<float> gradient(std::size_t parameter);
  void broadcast(std::span<std::byte> bytes, int root);
  void set_weight(std::uint64_t weight);
  void ready(std::size_t parameter);
  void wait();
  void fail(const Error& error) { steps_->fail(error); }
  [[nodiscard]] unsigned* unsynchronised();
  [[nodiscard]] std::size_t buckets() const noexcept { return layout_.buckets.size(); }
  [[nodiscard]] std::string describe() const;

 private:
  /// Fails on all ranks, and throws here.
  [[noreturn]] void refuse(const std::string& why);
  void check_well() const;
  void check_between_steps(const char* call) const;
  void fill();
  void drive();
  /// Until the step's sums have ended, or all is over; gives up on silent peers.
  void await_step();
  void await(comm::Operation& operation);

  const std::vector<GradientParameter> parameters_;
  const GradientSyncOptions options_;
  std::unique_ptr<comm::Communicator> comm_;      // of the sums
  std::unique_ptr<comm::Communicator> meetings_;  // the caller's, between steps
  Layout layout_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Steps> steps_;
  std::vector<bool> ready_;           // by parameter, in this step
  std::vector<std::size_t> awaited_;  // by bucket: parameters that are not ready
  std::size_t filled_ = 0;            // buckets
  std::size_t ready_count_ = 0;
  unsigned unsynchronised_ = 0;  // scopes of no_sync()
  std::atomic<bool> ending_ = false;
  Thread thread_;  // none without MPI_THREAD_MULTIPLE
};

}  // namespace faro::sync
