#include "base/error.hpp"
#include "cuda/backend.hpp"
#include "cuda/device.hpp"

namespace faro::cuda {

Backend probe() {
  return {.compiled = false,
          .usable = false,
          .devices = 0,
          .bus_ids = {},
          .names = {},
          .why = "built without CUDA; batches stay in host memory (FARO_WITH_CUDA=ON builds it)"};
}

std::shared_ptr<Device> open_device(int number) {
  fail(ErrorCode::device, "no CUDA device {}: {}", number, probe().why);
}

}  // namespace faro::cuda
