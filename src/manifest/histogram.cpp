#include <algorithm>
#include <bit>

#include "manifest/manifest.hpp"

namespace faro::manifest {
namespace {

std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

std::uint64_t saturating_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

}  // namespace

std::size_t SizeHistogram::bucket_of(std::uint64_t size) {
  const auto width = static_cast<unsigned>(std::bit_width(size));
  // The two bits below the highest halve the way to the next power of two twice: four buckets.
  const std::uint64_t below = width >= 3 ? size >> (width - 3) : size << (3 - width);
  return width * 4 + (below & 3U);
}

void SizeHistogram::add(std::uint64_t size, std::uint64_t count) {
  if (count == 0) return;
  Bucket& b = bucket[bucket_of(size)];
  b.count = saturating_add(b.count, count);
  b.largest = std::max(b.largest, size);
}

void SizeHistogram::merge(const SizeHistogram& other) {
  for (std::size_t i = 0; i < buckets; ++i) {
    bucket[i].count = saturating_add(bucket[i].count, other.bucket[i].count);
    bucket[i].largest = std::max(bucket[i].largest, other.bucket[i].largest);
  }
}

std::uint64_t SizeHistogram::largest(std::uint64_t k) const {
  std::uint64_t bytes = 0;
  for (auto b = bucket.rbegin(); b != bucket.rend() && k > 0; ++b) {
    const std::uint64_t taken = std::min(k, b->count);
    bytes = saturating_add(bytes, saturating_mul(taken, b->largest));
    k -= taken;
  }
  return bytes;
}

}  // namespace faro::manifest
