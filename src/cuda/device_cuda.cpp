#include <algorithm>
#include <array>

#include "cuda/backend.hpp"
#include "cuda/device.hpp"
#include "cuda/gradients.hpp"
#include "cuda/kernels.hpp"
#include "cuda/runtime.hpp"

namespace faro::cuda {
namespace {

using Bytes = std::span<std::byte>;

/// Memory that `Release`, a function of CUDA's, gives back. Errors of that are a later call's.
template <auto Release>
class Owned final : public Memory {
 public:
  Owned(int device, Bytes bytes) : device_(device), bytes_(bytes) {}
  ~Owned() override {
    try {
      const Current current(device_);
      if (Release(bytes_.data()) != cudaSuccess) cudaGetLastError();
    } catch (const Error&) {  // a device that has failed takes nothing back
    }
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Bytes bytes() const noexcept override { return bytes_; }

 private:
  int device_;
  Bytes bytes_;
};

class CudaEvent final : public Event {
 public:
  CudaEvent() {
    // A thread that waits sleeps: ranks have few cores.
    check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming | cudaEventBlockingSync),
               "cudaEventCreateWithFlags");
  }
  ~CudaEvent() override { cudaEventDestroy(event_); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  bool done() override {
    const auto status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) {
      cudaGetLastError();
      return false;
    }
    check_cuda(status, "cudaEventQuery");
    return true;
  }
  void wait() override { check_cuda(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
  void* native() const noexcept override { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

class CudaStream final : public Stream {
 public:
  /// A stream that no other waits for, the default one neither.
  explicit CudaStream(int device) : device_(device), owned_(true) {
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
               "cudaStreamCreateWithFlags");
  }
  CudaStream(int device, cudaStream_t borrowed) : device_(device), stream_(borrowed) {}
  ~CudaStream() override {
    if (owned_) cudaStreamDestroy(stream_);
  }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) override {
    if (bytes == 0) return;
    const Current current(device_);
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "cudaMemcpyAsync");
  }
  void zero(std::byte* memory, std::uint64_t bytes) override {
    if (bytes == 0) return;
    const Current current(device_);
    check_cuda(cudaMemsetAsync(memory, 0, bytes, stream_), "cudaMemsetAsync");
  }
  void gather(const Gather& work) override {
    const Current current(device_);
    check_cuda(launch(work, stream_), "the gather kernel");
  }
  void widen(const Widen& work) override {
    const Current current(device_);
    check_cuda(launch(work, stream_), "the kernel that widens gradients");
  }
  void narrow(const Narrow& work) override {
    const Current current(device_);
    check_cuda(launch(work, stream_), "the kernel that narrows gradients");
  }
  void record(Event& event) override {
    const Current current(device_);
    check_cuda(cudaEventRecord(static_cast<cudaEvent_t>(event.native()), stream_),
               "cudaEventRecord");
  }
  void wait(Event& event) override {
    const Current current(device_);
    check_cuda(cudaStreamWaitEvent(stream_, static_cast<cudaEvent_t>(event.native()), 0),
               "cudaStreamWaitEvent");
  }
  void* native() const noexcept override { return stream_; }

 private:
  int device_;
  bool owned_ = false;
  cudaStream_t stream_ = nullptr;
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int number) : number_(number) {
    const Current current(number);
    check_cuda(cudaFree(nullptr), "making a context on the device");
    cudaDeviceProp properties{};
    check_cuda(cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
    name_ = fmt::format("{} ({})", properties.name, bus_id(number));
    reads_locked_pages_ = properties.canUseHostPointerForRegisteredMem != 0;
  }

  int number() const noexcept override { return number_; }
  std::string name() const override { return name_; }

  void with_current(const std::function<void()>& work) override {
    const Current current(number_);
    work();
  }

  std::unique_ptr<Memory> allocate(std::uint64_t bytes) override {
    const Current current(number_);
    void* memory = nullptr;
    const auto taken = std::max<std::uint64_t>(bytes, 1);
    const auto status = cudaMalloc(&memory, taken);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      std::size_t free = 0;
      std::size_t all = 0;
      check_cuda(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
      fail(ErrorCode::memory, "{} has no {} left: {} of its {} are free", name_, human(taken),
           human(free), human(all));
    }
    check_cuda(status, "cudaMalloc");
    return owned<cudaFree>(memory, bytes);
  }
  std::unique_ptr<Memory> allocate_pinned(std::uint64_t bytes) override {
    const Current current(number_);
    void* memory = nullptr;
    check_cuda(cudaHostAlloc(&memory, std::max<std::uint64_t>(bytes, 1), cudaHostAllocPortable),
               fmt::format("cudaHostAlloc of {} of page-locked memory", human(bytes)));
    return owned<cudaFreeHost>(memory, bytes);
  }
  std::unique_ptr<Memory> lock_pages(Bytes memory) override {
    check(reads_locked_pages_, ErrorCode::memory,
          "{} does not read page-locked memory at the host's addresses", name_);
    const Current current(number_);
    const auto status = cudaHostRegister(memory.data(), memory.size(), cudaHostRegisterPortable);
    if (status != cudaSuccess) {
      cudaGetLastError();
      fail(ErrorCode::memory, "cudaHostRegister of {}: {} ({})", human(memory.size()),
           cudaGetErrorString(status), cudaGetErrorName(status));
    }
    return owned<cudaHostUnregister>(memory.data(), memory.size());
  }
  std::unique_ptr<Stream> make_stream() override {
    const Current current(number_);
    return std::make_unique<CudaStream>(number_);
  }
  std::unique_ptr<Event> make_event() override {
    const Current current(number_);
    return std::make_unique<CudaEvent>();
  }
  bool holds(const void* memory) const override {
    const Current current(number_);
    cudaPointerAttributes attributes{};
    check_cuda(cudaPointerGetAttributes(&attributes, memory), "cudaPointerGetAttributes");
    return (attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged) &&
           attributes.device == number_;
  }
  std::unique_ptr<Stream> borrow_stream(void* native) override {
    return std::make_unique<CudaStream>(number_, static_cast<cudaStream_t>(native));
  }

 private:
  static std::string human(std::uint64_t bytes) { return human_bytes(static_cast<double>(bytes)); }
  template <auto Release>
  std::unique_ptr<Memory> owned(void* memory, std::uint64_t bytes) const {
    return std::make_unique<Owned<Release>>(number_, Bytes(static_cast<std::byte*>(memory), bytes));
  }

  int number_;
  std::string name_;
  bool reads_locked_pages_ = false;
};

}  // namespace

std::shared_ptr<Device> open_device(int number) {
  const auto backend = probe();
  check(backend.usable, ErrorCode::device, "no CUDA device {}: {}", number, backend.why);
  check(number >= 0 && number < backend.devices, ErrorCode::device,
        "no CUDA device {}: this process sees {}, from 0 on (CUDA_VISIBLE_DEVICES)", number,
        backend.devices);
  return std::make_shared<CudaDevice>(number);
}

}  // namespace faro::cuda
