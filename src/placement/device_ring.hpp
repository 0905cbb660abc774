// The memory of a ring of batches on a device, with the page-locked memory that each is made from,
// and the events that say when either may be used again. Shared by the placement and by every batch
// and DLPack tensor that is out, so that these may outlive it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "cuda/device.hpp"
#include "placement/placement.hpp"
#include "placement/tensor_batch.hpp"

namespace faro::placement {

/// Thread safe.
class DeviceRing {
 public:
  /// Takes all memory. Errors: memory, device.
  DeviceRing(std::shared_ptr<cuda::Device> device, const Layout& layout);
  /// Waits for what the consumers' streams still do with the memory.
  ~DeviceRing();
  DeviceRing(const DeviceRing&) = delete;
  DeviceRing& operator=(const DeviceRing&) = delete;

  /// A batch that nobody holds, made ready for work on `stream`: that begins after all that the
  /// consumers have asked to be waited for. Its page-locked memory is not read any more, for which
  /// the host waits where it must.
  [[nodiscard]] std::optional<std::size_t> take(cuda::Stream& stream);
  void give_back(std::size_t batch);
  /// Returns when all batches are made, or the device has failed.
  void finish() noexcept;

  [[nodiscard]] std::span<std::byte> memory(std::size_t batch) const;
  [[nodiscard]] std::span<std::byte> staging(std::size_t batch) const;
  /// Behind the work that makes the batch.
  [[nodiscard]] cuda::Event& ready(std::size_t batch) const { return *places_[batch].ready; }
  [[nodiscard]] cuda::Device& device() const { return *device_; }

  void wait_on(std::size_t batch, void* stream) const;
  void release_after(std::size_t batch, void* stream);

 private:
  struct State {
    std::unique_ptr<cuda::Event> ready;
    std::vector<std::unique_ptr<cuda::Event>>
        released;  // the first `releases` of them are recorded
    std::size_t releases = 0;
    bool taken = false;
  };
  std::shared_ptr<cuda::Device> device_;
  std::uint64_t batch_bytes_;
  std::uint64_t staging_bytes_;
  std::unique_ptr<cuda::Memory> memory_;
  std::unique_ptr<cuda::Memory> staging_;
  std::mutex mutex_;
  std::vector<State> places_;
};

/// A batch of it.
class DevicePlace final : public Place {
 public:
  DevicePlace(std::shared_ptr<DeviceRing> ring, std::size_t number)
      : ring_(std::move(ring)), number_(number) {}
  ~DevicePlace() override { ring_->give_back(number_); }
  DevicePlace(const DevicePlace&) = delete;
  DevicePlace& operator=(const DevicePlace&) = delete;

  std::span<std::byte> memory() const noexcept override { return ring_->memory(number_); }
  int device() const noexcept override { return ring_->device().number(); }
  void* event() const noexcept override { return ring_->ready(number_).native(); }
  void wait_on(void* stream) override { ring_->wait_on(number_, stream); }
  void release_after(void* stream) override { ring_->release_after(number_, stream); }

 private:
  std::shared_ptr<DeviceRing> ring_;
  std::size_t number_;
};

}  // namespace faro::placement
