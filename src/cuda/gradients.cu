// A thread does 16 bytes of what is stored as the gradient at a time: one access of them, and one
// or two of the bucket's. A gradient that does not begin at 16 bytes goes element by element, which
// the threads of a warp still do to neighbours.
#include <algorithm>

#include "cuda/gradients.hpp"
#include "cuda/kernels.hpp"

namespace faro::cuda {
namespace {

constexpr unsigned threads = 256;

/// `count` elements that one access brings, two for the f32 of 8 halves.
template <class T, unsigned count>
struct alignas(sizeof(T) * count <= 16 ? sizeof(T) * count : 16) Pack {
  T values[count];
};

/// each(i, whole): of every pack of `width` elements, from element i on; not whole: the last one.
template <unsigned width, class Each>
__device__ void for_packs(std::uint64_t elements, Each each) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x * width;
  std::uint64_t i = (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) * width;
  for (; i < elements; i += step) each(i, i + width <= elements);
}

template <class Type, unsigned width>
__global__ void widen(const typename Type::Bits* from, float* to, std::uint64_t elements,
                      float scale) {
  for_packs<width>(elements, [=](std::uint64_t i, bool whole) {
    if (whole) {
      const auto in = *reinterpret_cast<const Pack<typename Type::Bits, width>*>(from + i);
      Pack<float, width> out;
      for (unsigned j = 0; j < width; ++j) out.values[j] = widened<Type>(in.values[j], scale);
      *reinterpret_cast<Pack<float, width>*>(to + i) = out;
    } else {
      for (; i < elements; ++i) to[i] = widened<Type>(from[i], scale);
    }
  });
}

template <class Type, unsigned width>
__global__ void narrow(const float* from, typename Type::Bits* to, std::uint64_t elements,
                       float divisor) {
  for_packs<width>(elements, [=](std::uint64_t i, bool whole) {
    if (whole) {
      const auto in = *reinterpret_cast<const Pack<float, width>*>(from + i);
      Pack<typename Type::Bits, width> out;
      for (unsigned j = 0; j < width; ++j) out.values[j] = narrowed<Type>(in.values[j], divisor);
      *reinterpret_cast<Pack<typename Type::Bits, width>*>(to + i) = out;
    } else {
      for (; i < elements; ++i) to[i] = narrowed<Type>(from[i], divisor);
    }
  });
}

/// As many blocks as fill a large GPU several times over, no more than there is work for.
unsigned blocks(std::uint64_t elements, unsigned width) {
  const std::uint64_t wanted = (elements + threads * width - 1) / (threads * width);
  return static_cast<unsigned>(std::min<std::uint64_t>(wanted, 2048));
}

bool aligned(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory) % 16 == 0;
}

}  // namespace

cudaError_t launch(const Widen& work, cudaStream_t stream) {
  if (work.elements == 0) return cudaSuccess;
  if (work.scale == 0) return cudaMemsetAsync(work.to, 0, work.elements * sizeof(float), stream);
  with(work.type, [&]<class Type>(Type) {
    using Bits = typename Type::Bits;
    constexpr unsigned width = 16 / sizeof(Bits);
    const auto* from = static_cast<const Bits*>(work.from);
    if (aligned(from)) {
      widen<Type, width><<<blocks(work.elements, width), threads, 0, stream>>>(
          from, work.to, work.elements, work.scale);
    } else {
      widen<Type, 1><<<blocks(work.elements, 1), threads, 0, stream>>>(from, work.to, work.elements,
                                                                       work.scale);
    }
  });
  return cudaGetLastError();
}

cudaError_t launch(const Narrow& work, cudaStream_t stream) {
  if (work.elements == 0) return cudaSuccess;
  with(work.type, [&]<class Type>(Type) {
    using Bits = typename Type::Bits;
    constexpr unsigned width = 16 / sizeof(Bits);
    auto* to = static_cast<Bits*>(work.to);
    if (aligned(to)) {
      narrow<Type, width><<<blocks(work.elements, width), threads, 0, stream>>>(
          work.from, to, work.elements, work.divisor);
    } else {
      narrow<Type, 1><<<blocks(work.elements, 1), threads, 0, stream>>>(
          work.from, to, work.elements, work.divisor);
    }
  });
  return cudaGetLastError();
}

}  // namespace faro::cuda
