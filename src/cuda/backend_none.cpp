#include "cuda/backend.hpp"

namespace faro::cuda {

Backend probe() {
  return {.compiled = false,
          .usable = false,
          .devices = 0,
          .bus_ids = {},
          .why = "built without CUDA; batches stay in host memory (FARO_WITH_CUDA=ON builds it)"};
}

}  // namespace faro::cuda
