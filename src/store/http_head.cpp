#include "store/http_head.hpp"

namespace faro::store {

bool HttpHead::count(std::size_t bytes) noexcept {
  size_ += bytes;
  if (size_ > longest) wrong_ = "the head of the answer is too long";
  return wrong_ == nullptr;
}

bool HttpHead::judge_line() {
  std::string_view line(line_);
  if (line.find('\0') != line.npos) wrong_ = "the head of the answer has a NUL";
  const auto first = line.find_first_not_of(" \t\r\n");
  const bool status = first != line.npos && line.substr(first).starts_with("HTTP/");
  if (lines_++ == 0 ? !line.starts_with("HTTP/1.") : status) {
    wrong_ = "the server does not answer in HTTP/1";
  }
  whole_ = wrong_ == nullptr && (line == "\r\n" || line == "\n");
  return wrong_ == nullptr;
}

Framing framing_of(const HttpAnswer& answer) noexcept {
  if (answer.status >= 100 && answer.status < 200) {
    return answer.status == 101 ? Framing::unusual : Framing::interim;
  }
  if (answer.status == 204 || answer.status == 304) return Framing::none;
  if (answer.coded || answer.lengths_differ || !answer.content_length) return Framing::unusual;
  return Framing::length;
}

}  // namespace faro::store
