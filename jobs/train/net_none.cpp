#include "net.hpp"

namespace train {

std::unique_ptr<Net> make_cuda_net(std::uint64_t, int) {
  throw faro::Error(faro::ErrorCode::device,
                    "built without CUDA: configure with FARO_WITH_CUDA=ON");
}

}  // namespace train
