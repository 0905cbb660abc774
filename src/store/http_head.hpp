// Internal to store/: where the head of an HTTP/1 answer ends. Pure, of untrusted bytes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "store/http_answer.hpp"

namespace faro::store {

/// Reads heads as they come, in pieces of any size.
class HttpHead {
 public:
  /// Bytes of a head, with those of the interim answers (1xx) before it.
  static constexpr std::size_t longest = 64 * 1024;

  /// Takes bytes up to the end of the head, or all of them, and gives its lines to `each`; how many
  /// bytes it took.
  template <class Each>
  std::size_t take(std::string_view bytes, Each&& each) {
    const auto size = bytes.size();
    while (!bytes.empty() && !whole_ && wrong_ == nullptr) {
      const auto end = std::min(bytes.find('\n'), bytes.size() - 1) + 1;
      line_.append(bytes.substr(0, end));
      bytes.remove_prefix(end);
      if (!count(end) || line_.back() != '\n' || !judge_line()) continue;
      if (!whole_) each(std::string_view(line_));
      line_.clear();
    }
    return size - bytes.size();
  }
  /// Whether nothing has come yet.
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool whole() const noexcept { return whole_; }
  /// Why it is none of HTTP/1; nullptr as long as it may be.
  [[nodiscard]] const char* wrong() const noexcept { return wrong_; }
  /// After an interim answer another head follows.
  void next() noexcept {
    whole_ = false;
    lines_ = 0;
  }

 private:
  bool count(std::size_t bytes) noexcept;
  bool judge_line();

  std::string line_;
  std::size_t size_ = 0;
  std::size_t lines_ = 0;
  bool whole_ = false;
  const char* wrong_ = nullptr;
};

/// How the end of an answer's body is found. Where it is `unusual` libcurl must do it.
enum class Framing {
  interim,  ///< 1xx: no body, and another answer follows
  none,     ///< no body
  length,   ///< Content-Length
  unusual,  ///< Transfer-Encoding, the connection's end, two lengths, another protocol
};
[[nodiscard]] Framing framing_of(const HttpAnswer& answer) noexcept;

}  // namespace faro::store
