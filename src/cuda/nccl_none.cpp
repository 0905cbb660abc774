#include "cuda/nccl.hpp"

namespace faro::cuda {
namespace {

[[noreturn]] void refuse() {
  fail(ErrorCode::device, "built without CUDA and NCCL (FARO_WITH_CUDA=ON builds with them)");
}

}  // namespace

CollectiveId make_collective_id() {
  refuse();
}

std::unique_ptr<Collective> make_collective(const Device&, const CollectiveId&, int, int, double) {
  refuse();
}

}  // namespace faro::cuda
