#include "cuda/gradients.hpp"

#include <algorithm>

namespace faro::cuda {

void run(const Widen& work) {
  if (work.scale == 0) {
    std::fill_n(work.to, work.elements, 0.0F);
    return;
  }
  with(work.type, [&]<class Type>(Type) {
    const auto* from = static_cast<const typename Type::Bits*>(work.from);
    std::transform(from, from + work.elements, work.to,
                   [scale = work.scale](auto bits) { return widened<Type>(bits, scale); });
  });
}

void run(const Narrow& work) {
  with(work.type, [&]<class Type>(Type) {
    std::transform(work.from, work.from + work.elements, static_cast<typename Type::Bits*>(work.to),
                   [divisor = work.divisor](float sum) { return narrowed<Type>(sum, divisor); });
  });
}

}  // namespace faro::cuda
