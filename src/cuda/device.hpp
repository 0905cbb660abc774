// The device seam: memory, streams and events of one GPU, and the kernels that run on it, without a
// type of CUDA's. Behind it: CUDA (open_device() of backend_cuda), and in tests an emulation whose
// streams run late and in any order that events allow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace faro::cuda {

/// Memory that is given back with it.
class Memory {
 public:
  virtual ~Memory() = default;
  [[nodiscard]] virtual std::span<std::byte> bytes() const noexcept = 0;
};

/// A point in a stream's work.
class Event {
 public:
  virtual ~Event() = default;
  /// Whether the work before it has ended; true where it was never recorded. Error(device): that
  /// work, or any before it on the device, has failed.
  [[nodiscard]] virtual bool done() = 0;
  /// Returns when done() would be true.
  virtual void wait() = 0;
  [[nodiscard]] virtual void* native() const noexcept = 0;  ///< cudaEvent_t
};

struct Gather;  // of gather.hpp
struct Widen;   // of gradients.hpp
struct Narrow;

/// Work in order. Calls return before their work is done: what they are given stays as it is until
/// an event behind it is. Errors of all calls: device.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Between any two of device, pinned and registered memory.
  virtual void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) = 0;
  virtual void zero(std::byte* memory, std::uint64_t bytes) = 0;
  /// Makes samples into a tensor.
  virtual void gather(const Gather& work) = 0;
  /// Gradients into their bucket, and back.
  virtual void widen(const Widen& work) = 0;
  virtual void narrow(const Narrow& work) = 0;
  virtual void record(Event& event) = 0;
  /// What follows begins when the event's work has ended.
  virtual void wait(Event& event) = 0;
  [[nodiscard]] virtual void* native() const noexcept = 0;  ///< cudaStream_t
};

/// Thread safety: all calls. What it has made must go before it.
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual int number() const noexcept = 0;  ///< CUDA's ordinal in this process
  /// "NVIDIA H100 80GB HBM3 (0000:17:00.0)"
  [[nodiscard]] virtual std::string name() const = 0;

  /// Calls `work`, within which libraries that are given its memory, as MPI, find it to be the
  /// thread's device.
  virtual void with_current(const std::function<void()>& work) = 0;

  /// Error(memory) that says how much is free. 256-byte aligned.
  [[nodiscard]] virtual std::unique_ptr<Memory> allocate(std::uint64_t bytes) = 0;
  /// The host's memory, page-locked: the device reads and writes it at the same addresses.
  [[nodiscard]] virtual std::unique_ptr<Memory> allocate_pinned(std::uint64_t bytes) = 0;
  /// Page-locks memory that is there already, shared memory too, for as long as the result lives.
  /// Takes all its pages. Error(memory) where the system refuses.
  [[nodiscard]] virtual std::unique_ptr<Memory> lock_pages(std::span<std::byte> memory) = 0;
  [[nodiscard]] virtual std::unique_ptr<Stream> make_stream() = 0;
  [[nodiscard]] virtual std::unique_ptr<Event> make_event() = 0;
  /// Whether it is this device's memory, whoever allocated it.
  [[nodiscard]] virtual bool holds(const void* memory) const = 0;
  /// A stream of the consumer's own, cudaStream_t; nullptr: the default stream.
  [[nodiscard]] virtual std::unique_ptr<Stream> borrow_stream(void* native) = 0;
};

/// Makes a device of this process ready: its context is created. Error(device) where there is none
/// or CUDA fails. \param number CUDA's ordinal
[[nodiscard]] std::shared_ptr<Device> open_device(int number);

}  // namespace faro::cuda
