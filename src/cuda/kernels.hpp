// The kernels, as the streams start them. Included by files that call CUDA's runtime alone.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/device.hpp"

namespace faro::cuda {

/// Put the kernel on the stream, and give what CUDA says of the launch.
[[nodiscard]] cudaError_t launch(const Gather& work, cudaStream_t stream);
[[nodiscard]] cudaError_t launch(const Widen& work, cudaStream_t stream);
[[nodiscard]] cudaError_t launch(const Narrow& work, cudaStream_t stream);

}  // namespace faro::cuda
