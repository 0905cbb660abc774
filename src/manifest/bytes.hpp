// Values to bytes and back, for what crosses ranks of one build. Reading checks every length.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.hpp"

namespace faro::manifest {

class ByteWriter {
 public:
  template <class T>
  void array(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    value<std::uint64_t>(values.size());
    append(values.data(), values.size_bytes());
  }
  template <class T>
  void value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append(&value, sizeof(T));
  }
  void text(const std::string& text) { array(std::span<const char>(text)); }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void append(const void* data, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }
  std::vector<std::byte> bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : left_(bytes) {}

  template <class T>
  [[nodiscard]] T value() {
    T result;
    copy(&result, 1, sizeof(T));
    return result;
  }
  template <class T>
  [[nodiscard]] std::vector<T> array() {
    const auto count = this->count(sizeof(T));
    std::vector<T> result(count);
    copy(result.data(), count, sizeof(T));
    return result;
  }
  [[nodiscard]] std::string text() {
    const auto chars = array<char>();
    return {chars.begin(), chars.end()};
  }
  /// A count of things of at least `size` bytes each, all of which can be there.
  [[nodiscard]] std::uint64_t count(std::size_t size) {
    const auto count = value<std::uint64_t>();
    check(count <= left_.size() / size, ErrorCode::format,
          "{} values of {} bytes where {} are left", count, size, left_.size());
    return count;
  }
  void finish() const {
    check(left_.empty(), ErrorCode::format, "{} bytes too many", left_.size());
  }

 private:
  void copy(void* into, std::size_t count, std::size_t size) {
    check(count <= left_.size() / size, ErrorCode::format, "the bytes end early");
    if (count == 0) return;
    std::memcpy(into, left_.data(), count * size);
    left_ = left_.subspan(count * size);
  }
  std::span<const std::byte> left_;
};

}  // namespace faro::manifest
