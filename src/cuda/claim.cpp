#include "cuda/claim.hpp"

#include <array>
#include <map>
#include <mutex>

#include "base/error.hpp"

namespace faro::cuda {
namespace {

struct Claims {
  std::mutex mutex;
  std::map<int, std::array<int, 2>> by_device;  // how many of each
};

Claims& claims() {
  static Claims all;
  return all;
}

}  // namespace

Claim::Claim(int device, By by) : device_(device), by_(by) {
  auto& all = claims();
  const std::scoped_lock lock(all.mutex);
  auto& counts = all.by_device[device];
  check(by == By::nccl || counts[1] == 0, ErrorCode::device,
        "NCCL has device {}: MPI and NCCL do not use one at the same time", device);
  check(by == By::mpi || counts[0] == 0, ErrorCode::device,
        "MPI has device {}, as samples arrive in its memory, and NCCL cannot use it at the same "
        "time: give arrivals = host",
        device);
  ++counts[static_cast<std::size_t>(by)];
}

Claim::~Claim() {
  auto& all = claims();
  const std::scoped_lock lock(all.mutex);
  --all.by_device[device_][static_cast<std::size_t>(by_)];
}

}  // namespace faro::cuda
