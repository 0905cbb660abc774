// What the files that call CUDA's runtime share. Included by them alone.
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace faro::cuda {

/// Error(device), and (memory) where CUDA has none left, that names the call. CUDA's last error is
/// cleared: it would else come up in the host program's next check.
inline void check_cuda(cudaError_t status, std::string_view call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(status == cudaErrorMemoryAllocation ? ErrorCode::memory : ErrorCode::device, "{}: {} ({})",
       call, cudaGetErrorString(status), cudaGetErrorName(status));
}

/// The calling thread's device, for as long as this lives: the program may use another.
class Current {
 public:
  explicit Current(int device) : device_(device) {
    check_cuda(cudaGetDevice(&before_), "cudaGetDevice");
    if (before_ != device_) check_cuda(cudaSetDevice(device_), "cudaSetDevice");
  }
  ~Current() {
    if (before_ != device_) cudaSetDevice(before_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int device_;
  int before_ = 0;
};

/// "0000:17:00.0"; empty where CUDA does not tell.
[[nodiscard]] std::string bus_id(int device);

}  // namespace faro::cuda
