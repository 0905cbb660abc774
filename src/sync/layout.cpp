#include "base/error.hpp"
#include "sync/sync.hpp"

namespace faro::sync {

Layout lay_out(std::span<const GradientParameter> parameters, const GradientSyncOptions& options) {
  constexpr std::uint64_t alignment = 64 / sizeof(float);
  Layout layout;
  layout.places.resize(parameters.size());
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const auto elements = align_up(parameters[i].elements, alignment);
    const auto limit =
        (layout.buckets.size() == 1 ? options.first_bucket_bytes : options.bucket_bytes) /
        sizeof(float);
    if (layout.buckets.empty() || layout.buckets.back().elements + elements > limit) {
      layout.buckets.emplace_back();
    }
    auto& bucket = layout.buckets.back();
    layout.places[i] = {layout.buckets.size() - 1, bucket.elements};
    bucket.elements += elements;
    bucket.parameters.push_back(i);
  }
  return layout;
}

}  // namespace faro::sync
