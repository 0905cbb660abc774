// A thread makes 16 bytes of the tensor, its neighbour the next ones.
#include <algorithm>

#include "cuda/gather_word.hpp"
#include "cuda/kernels.hpp"

namespace faro::cuda {
namespace {

constexpr unsigned threads = 256;

template <class Make>
__global__ void __launch_bounds__(threads) gather(const __grid_constant__ Gather work) {
  const Word64 words = words_of<Make>(work);
  const Word64 step = Word64{gridDim.x} * threads;
  for (Word64 word = Word64{blockIdx.x} * threads + threadIdx.x; word < words; word += step) {
    *reinterpret_cast<Word*>(work.to + word * sizeof(Word)) = gather_word<Make>(work, word);
  }
}

}  // namespace

cudaError_t launch(const Gather& work, cudaStream_t stream) {
  with_elements(work.type, [&]<class Make>(Make) {
    const auto words = words_of<Make>(work);
    if (words == 0) return;
    constexpr Word64 most = 1U << 30;
    const auto blocks = std::min((words + threads - 1) / threads, most);
    gather<Make><<<static_cast<unsigned>(blocks), threads, 0, stream>>>(work);
  });
  return cudaGetLastError();
}

}  // namespace faro::cuda
