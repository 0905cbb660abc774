#include "placement/device_ring.hpp"

#include "base/error.hpp"

namespace faro::placement {

DeviceRing::DeviceRing(std::shared_ptr<cuda::Device> device, const Layout& layout)
    : device_(std::move(device)),
      batch_bytes_(layout.batch_bytes),
      staging_bytes_(layout.staging_bytes),
      memory_(device_->allocate(batch_bytes_ * layout.batches)),
      staging_(device_->allocate_pinned(staging_bytes_ * layout.batches)),
      places_(layout.batches) {
  for (auto& place : places_) place.ready = device_->make_event();
}

DeviceRing::~DeviceRing() {
  for (auto& place : places_) {
    try {
      for (std::size_t i = 0; i < place.releases; ++i) place.released[i]->wait();
    } catch (const Error&) {  // nothing runs any more
    }
  }
}

void DeviceRing::finish() noexcept {
  for (auto& place : places_) {
    try {
      place.ready->wait();
    } catch (const Error&) {  // nothing runs any more
    }
  }
}

std::optional<std::size_t> DeviceRing::take(cuda::Stream& stream) {
  const std::scoped_lock lock(mutex_);
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < places_.size() && (!found || !places_[*found].ready->done()); ++i) {
    if (!places_[i].taken) found = i;
  }
  if (!found) return std::nullopt;
  auto& place = places_[*found];
  place.ready->wait();
  for (std::size_t i = 0; i < place.releases; ++i) stream.wait(*place.released[i]);
  place.releases = 0;
  place.taken = true;
  return found;
}

void DeviceRing::give_back(std::size_t batch) {
  const std::scoped_lock lock(mutex_);
  places_[batch].taken = false;
}

std::span<std::byte> DeviceRing::memory(std::size_t batch) const {
  return memory_->bytes().subspan(batch * batch_bytes_, batch_bytes_);
}

std::span<std::byte> DeviceRing::staging(std::size_t batch) const {
  return staging_->bytes().subspan(batch * staging_bytes_, staging_bytes_);
}

void DeviceRing::wait_on(std::size_t batch, void* stream) const {
  device_->borrow_stream(stream)->wait(*places_[batch].ready);
}

void DeviceRing::release_after(std::size_t batch, void* stream) {
  const std::scoped_lock lock(mutex_);
  auto& place = places_[batch];
  if (place.releases == place.released.size()) place.released.push_back(device_->make_event());
  device_->borrow_stream(stream)->record(*place.released[place.releases]);
  ++place.releases;
}

}  // namespace faro::placement
