#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "batch/batch.hpp"

namespace faro {
namespace {

std::span<const Field> fields_of(const Sample& sample, std::string_view field) {
  return field.empty() ? sample.fields : std::span(&sample.at(field), 1);
}

/// Asks for the beginning of bytes that are copied soon: the processor's own prefetching begins
/// anew with every sample, as none lies behind the last.
void prefetch(std::span<const std::byte> bytes) {
  constexpr std::size_t line = 64;
  constexpr std::size_t most = 16 * line;
  for (std::size_t at = 0; at < std::min(bytes.size(), most); at += line) {
    __builtin_prefetch(bytes.data() + at);
  }
}

}  // namespace

std::uint64_t Batch::bytes(std::string_view field) const {
  std::uint64_t sum = 0;
  for (const auto& sample : samples()) {
    for (const auto& part : fields_of(sample, field)) sum += part.bytes.size();
  }
  return sum;
}

std::uint64_t Batch::gather(std::string_view field, std::span<std::byte> into,
                            std::span<std::uint64_t> offsets) const {
  const auto all = samples();
  check(offsets.empty() || offsets.size() == all.size() + 1, ErrorCode::invalid_argument,
        "gather: {} offsets for {} samples: give none, or one more than samples", offsets.size(),
        all.size());
  const auto wanted = bytes(field);
  check(wanted <= into.size(), ErrorCode::invalid_argument,
        "gather: a buffer of {} bytes for {}: ask bytes() before", into.size(), wanted);
  auto* to = into.data();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i + 1 < all.size()) {
      const auto next = fields_of(all[i + 1], field);
      if (!next.empty()) prefetch(next.front().bytes);
    }
    if (!offsets.empty()) offsets[i] = static_cast<std::uint64_t>(to - into.data());
    for (const auto& part : fields_of(all[i], field)) {
      if (!part.bytes.empty()) std::memcpy(to, part.bytes.data(), part.bytes.size());
      to += part.bytes.size();
    }
  }
  if (!offsets.empty()) offsets.back() = wanted;
  return wanted;
}

}  // namespace faro
