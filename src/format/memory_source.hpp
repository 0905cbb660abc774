#pragma once

#include "format/format.hpp"

namespace faro::format {

/// Bytes in memory as a Source. A view: what it reads stays valid as long as the bytes do.
class MemorySource final : public Source {
 public:
  explicit MemorySource(std::span<const std::byte> bytes, std::uint64_t shard_offset = 0)
      : bytes_(bytes), shard_offset_(shard_offset) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  std::span<const std::byte> read(std::uint64_t offset, std::uint64_t length) override {
    return bytes_.subspan(offset, length);
  }
  [[nodiscard]] std::uint64_t shard_offset() const override { return shard_offset_; }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t shard_offset_;
};

}  // namespace faro::format
