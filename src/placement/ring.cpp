#include "placement/ring.hpp"

#include <algorithm>
#include <new>

#include "base/error.hpp"
#include "base/huge_pages.hpp"

namespace faro::placement {
namespace {

constexpr std::align_val_t page{4096};

}  // namespace

void Ring::Free::operator()(std::byte* memory) const noexcept {
  ::operator delete(memory, page);
}

Ring::Ring(std::uint64_t batch_bytes, std::uint64_t batches)
    : batch_bytes_(batch_bytes), taken_(batches) {
  const auto bytes = std::max<std::uint64_t>(batch_bytes * batches, 1);  // planned: no overflow
  memory_.reset(static_cast<std::byte*>(::operator new(bytes, page, std::nothrow)));
  check(memory_ != nullptr, ErrorCode::memory, "no memory for {} batches of tensors, {}", batches,
        human_bytes(static_cast<double>(bytes)));
  huge_pages({memory_.get(), bytes});
}

std::optional<std::size_t> Ring::take() {
  const std::scoped_lock lock(mutex_);
  const auto found = std::find(taken_.begin(), taken_.end(), false);
  if (found == taken_.end()) return std::nullopt;
  *found = true;
  return static_cast<std::size_t>(found - taken_.begin());
}

void Ring::give_back(std::size_t batch) {
  const std::scoped_lock lock(mutex_);
  taken_[batch] = false;
}

std::span<std::byte> Ring::memory(std::size_t batch) const {
  return {memory_.get() + batch * batch_bytes_, batch_bytes_};
}

}  // namespace faro::placement
