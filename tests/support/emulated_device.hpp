// A GPU made of host memory and queues, behind the device seam: what is put on a stream runs late,
// and beside the work of other streams in any order that events allow. So an event that is missing,
// or memory that is used again too early, shows as wrong bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cuda/device.hpp"

namespace faro::test {

/// Device memory is not accessible but to the work of streams: a host that touches it gets SIGSEGV.
/// Copies and kernels take addresses that the device knows alone (its own, pinned, locked), when
/// they are put on a stream and when they run: anything else is Error(device). Fresh device and
/// pinned memory holds garbage. Thread safe.
class EmulatedDevice final : public cuda::Device {
 public:
  /// \param seed of the order and of how late work runs. A third of all seeds run nothing before
  ///     it is waited for.
  explicit EmulatedDevice(std::uint64_t seed, int number = 0);
  ~EmulatedDevice() override;

  [[nodiscard]] int number() const noexcept override;
  [[nodiscard]] std::string name() const override;
  void with_current(const std::function<void()>& work) override { work(); }
  [[nodiscard]] std::unique_ptr<cuda::Memory> allocate(std::uint64_t bytes) override;
  [[nodiscard]] std::unique_ptr<cuda::Memory> allocate_pinned(std::uint64_t bytes) override;
  [[nodiscard]] std::unique_ptr<cuda::Memory> lock_pages(std::span<std::byte> memory) override;
  [[nodiscard]] std::unique_ptr<cuda::Stream> make_stream() override;
  [[nodiscard]] std::unique_ptr<cuda::Event> make_event() override;
  [[nodiscard]] bool holds(const void* memory) const override;
  [[nodiscard]] std::unique_ptr<cuda::Stream> borrow_stream(void* native) override;

  /// The n-th allocation from now on, counted from 1, is Error(memory).
  void fail_allocation(std::uint64_t n);
  /// No pages can be locked: Error(memory).
  void refuse_locks();
  /// The n-th piece of work that runs from now on fails, and every call after it with
  /// Error(device).
  void fail_work(std::uint64_t n);

  /// Device memory is the host's to touch from now on, as if MPI were aware of the device.
  void let_mpi_reach();

  /// Puts work of the test's own on a stream: called again and again, in its turn, until it is
  /// true. It may read and write device memory, and must not call the device.
  void put(cuda::Stream& stream, std::function<bool()> work);
  /// Runs all that is on the streams, or throws what it fails with.
  void synchronise();
  /// Bytes of device memory as they are now: nothing is run before.
  [[nodiscard]] std::vector<std::byte> read(const void* memory, std::uint64_t bytes) const;
  /// Pieces of work that have run.
  [[nodiscard]] std::uint64_t works() const;
  /// Bytes of device memory and of pinned memory that are allocated.
  [[nodiscard]] std::uint64_t device_bytes() const;
  [[nodiscard]] std::uint64_t pinned_bytes() const;

 private:
  struct Engine;
  std::shared_ptr<Engine> engine_;
};

}  // namespace faro::test
