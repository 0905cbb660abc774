// Internal to fetch/: an open file, closed at its end.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace faro::fetch {

class File {
 public:
  File() = default;
  explicit File(int descriptor) noexcept : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~File();

  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
  [[nodiscard]] int get() const noexcept { return descriptor_; }
  /// Writes an entry: its bytes, then its header, without which they are nothing. 0, or errno.
  [[nodiscard]] int write(std::span<const std::byte> bytes, std::uint64_t at,
                          std::span<const std::byte> header, std::uint64_t header_at) const;

 private:
  int descriptor_ = -1;
};

}  // namespace faro::fetch
