#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <string>

#include "net_device.hpp"

namespace train {
namespace {

[[noreturn]] void fail(const char* call, const char* why) {
  throw faro::Error(faro::ErrorCode::device, std::string(call) + ": " + why);
}
void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it would else come up in the next check of somebody else
  fail(call, cudaGetErrorString(status));
}
void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(call, cublasGetStatusString(status));
}

template <class Body>
__global__ void run(Body body, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) body(i);
}

struct Destroy {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  void operator()(cublasHandle_t handle) const { cublasDestroy(handle); }
  void operator()(float* memory) const { cudaFree(memory); }
};
template <class Pointer>
using Owned = std::unique_ptr<std::remove_pointer_t<Pointer>, Destroy>;

/// One GPU and one stream on it: the Gpu of DeviceNet.
class Cuda {
 public:
  explicit Cuda(int number) : number_(number) {
    use();
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    stream_.reset(stream);
    cublasHandle_t handle = nullptr;
    check(cublasCreate(&handle), "cublasCreate");
    handle_.reset(handle);
    check(cublasSetStream(handle, stream), "cublasSetStream");
  }

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] void* stream() const { return stream_.get(); }

  Owned<float*> allocate(std::size_t floats) {
    use();
    void* memory = nullptr;
    check(cudaMalloc(&memory, floats * sizeof(float)), "cudaMalloc");
    Owned<float*> owned(static_cast<float*>(memory));
    check(cudaMemsetAsync(memory, 0, floats * sizeof(float), stream_.get()), "cudaMemsetAsync");
    return owned;
  }

  template <class Body>
  void each(int count, Body body) {
    if (count == 0) return;
    use();
    constexpr int threads = 256;
    run<<<(count + threads - 1) / threads, threads, 0, stream_.get()>>>(body, count);
    check(cudaGetLastError(), "a kernel's launch");
  }

  void multiply(const Product& p) {
    use();
    const float one = 1;
    check(cublasSgemm(handle_.get(), p.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                      p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, p.m, p.n, p.k, &one, p.a,
                      rows(p.a_transposed ? p.k : p.m), p.b, rows(p.b_transposed ? p.n : p.k),
                      &p.beta, p.c, rows(p.m)),
          "cublasSgemm");
  }

  void upload(float* to, std::span<const float> from) {
    use();
    // CUDA has copied pageable memory elsewhere before it returns.
    check(
        cudaMemcpyAsync(to, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream_.get()),
        "cudaMemcpyAsync");
  }
  void copy(float* to, const float* from, std::size_t floats) {
    use();
    check(
        cudaMemcpyAsync(to, from, floats * sizeof(float), cudaMemcpyDeviceToDevice, stream_.get()),
        "cudaMemcpyAsync");
  }
  void download(std::span<float> to, const float* from) {
    use();
    check(cudaMemcpyAsync(to.data(), from, to.size_bytes(), cudaMemcpyDeviceToHost, stream_.get()),
          "cudaMemcpyAsync");
    check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
  }

 private:
  void use() const { check(cudaSetDevice(number_), "cudaSetDevice"); }
  static int rows(int count) { return std::max(count, 1); }  // cuBLAS wants one at least

  int number_;
  Owned<cudaStream_t> stream_;
  Owned<cublasHandle_t> handle_;
};

}  // namespace

std::unique_ptr<Net> make_cuda_net(std::uint64_t seed, int device) {
  return std::make_unique<DeviceNet<Cuda>>(Cuda(device), seed);
}

}  // namespace train
