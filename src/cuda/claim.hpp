// Who sends what lies on a device: "Concurrent use of NCCL and CUDA-aware MPI" on one device "is
// not guaranteed to be safe" (NCCL's documentation), so in a process one of them has it.
#pragma once

namespace faro::cuda {

/// A device is used by one of them for as long as this lives; by several claims of the same one.
/// Thread safe.
class Claim {
 public:
  enum class By { mpi, nccl };
  /// Error(device) where the other one has it.
  Claim(int device, By by);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  int device_;
  By by_;
};

}  // namespace faro::cuda
