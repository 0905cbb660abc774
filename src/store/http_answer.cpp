#include "store/http_answer.hpp"

#include <strings.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"

namespace faro::store {
namespace {

constexpr std::uint64_t longest_wait = 3600;  // seconds of a Retry-After that are believed

bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trim(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t\r\n";
  const auto first = text.find_first_not_of(blanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Four bytes in base64, most significant first. A checksum of parts ends in "-N": it says nothing
// of the object's bytes as a whole.
std::optional<std::uint32_t> parse_checksum(std::string_view text) noexcept {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() != 8 || !text.ends_with("==")) return std::nullopt;
  std::uint64_t bits = 0;
  for (const char c : text.substr(0, 6)) {
    const auto digit = digits.find(c);
    if (digit == digits.npos) return std::nullopt;
    bits = bits << 6 | digit;
  }
  return static_cast<std::uint32_t>(bits >> 4);  // 36 bits, of which 32 count
}

// Server text in a message: short and printable.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 80)) out += (c < 0x20 || c == 0x7f) ? '?' : c;
  return out + "'";
}

std::optional<Failure> check_status(const HttpAnswer& answer) {
  const auto failure = [&](Cause cause, std::string_view text) {
    return Failure{cause, fmt::format("HTTP {}{}{}", answer.status, text.empty() ? "" : ": ", text),
                   answer.retry_after};
  };
  switch (answer.status) {
    case 200:
    case 206: return std::nullopt;
    case 401:
    case 403:
      return failure(Cause::access_denied,
                     "the store refuses; check the credentials or the URL's signature");
    case 404:
    case 410: return failure(Cause::not_found, "no such object");
    case 408: return failure(Cause::server_error, "the server gave up waiting");
    case 412: return failure(Cause::changed, "the object was replaced; index it again");
    case 416: return failure(Cause::changed, "the object ends before this range");
    case 429:
    case 503: return failure(Cause::throttled, "the server is overloaded or not available");
    default: break;
  }
  if (answer.status >= 500) return failure(Cause::server_error, "the server failed");
  return failure(Cause::unsupported, "the server does not answer reads of this URL");
}

std::optional<Failure> check_encoding(const HttpAnswer& answer) {
  if (answer.content_encoding.empty() || same_name(answer.content_encoding, "identity")) {
    return std::nullopt;
  }
  return Failure{Cause::unsupported,
                 fmt::format("the server sends it encoded ({}), so byte ranges mean nothing; turn "
                             "that off for this path",
                             quoted(answer.content_encoding))};
}

std::optional<Failure> check_identity(const ObjectInfo& info, bool size_known,
                                      const std::optional<ObjectInfo>& expected) {
  if (!expected) return std::nullopt;
  if (!size_known) return Failure{Cause::bad_answer, "the server does not tell the object's size"};
  if (info.size != expected->size) {
    return Failure{Cause::changed, fmt::format("the object has {} bytes, not the {} it had",
                                               info.size, expected->size)};
  }
  if (!expected->etag.empty() && info.etag != expected->etag) {
    return Failure{Cause::changed, fmt::format("the object's ETag is {}, not the {} it had; index "
                                               "it again",
                                               quoted(info.etag), quoted(expected->etag))};
  }
  return std::nullopt;
}

// A 200 carries the whole object, which will do where the whole object was asked for.
std::optional<Failure> check_whole(const HttpAnswer& answer, const Request& request,
                                   ObjectInfo& info) {
  const auto [offset, length] = request.range;
  info.size = answer.content_length.value_or(request.expect ? request.expect->size : length);
  if (auto failure = check_identity(info, true, request.expect)) return failure;
  if (offset != 0 || info.size != length) {
    return Failure{Cause::unsupported,
                   "HTTP 200 instead of 206: the server ignores Range; faro needs byte ranges"};
  }
  return std::nullopt;
}

}  // namespace

void HttpAnswer::take(std::string_view line) {
  line = trim(line);
  if (line.starts_with("HTTP/")) {
    *this = {};
    closes = !line.starts_with("HTTP/1.1");
    const auto space = line.find(' ');
    if (space != line.npos) {
      status = static_cast<long>(parse_number(line.substr(space + 1, 3)).value_or(0));
    }
    return;
  }
  const auto colon = line.find(':');
  if (colon == line.npos) return;
  const auto name = line.substr(0, colon);
  const auto value = trim(line.substr(colon + 1));
  if (same_name(name, "Content-Length")) {
    const auto length = parse_number(value);
    lengths_differ = lengths_differ || (content_length && content_length != length);
    content_length = length;
  }
  if (same_name(name, "Transfer-Encoding")) coded = true;
  if (same_name(name, "Connection") && same_name(value, "close")) closes = true;
  if (same_name(name, "Content-Range")) {
    content_range = parse_content_range(value).value_or(ContentRange{});
  }
  if (same_name(name, "ETag")) etag = value;
  if (same_name(name, "Content-Encoding")) content_encoding = value;
  if (same_name(name, "Location")) location = value;
  if (same_name(name, "Date")) date = value;
  if (same_name(name, "x-amz-bucket-region")) bucket_region = value;
  if (same_name(name, "x-amz-checksum-crc32c")) crc32c = parse_checksum(value);
  if (same_name(name, "Retry-After")) {
    retry_after = static_cast<double>(std::min(parse_number(value).value_or(0), longest_wait));
  }
}

bool is_strong_etag(std::string_view etag) noexcept {
  if (etag.size() < 2 || etag.front() != '"' || etag.back() != '"') return false;
  // It goes into a header: nothing that could end the line.
  return std::all_of(etag.begin(), etag.end(),
                     [](unsigned char c) { return c > 0x20 && c != 0x7f; });
}

std::optional<HttpAnswer::ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view unit = "bytes ";
  const auto slash = text.find('/');
  if (text.size() < unit.size() || !same_name(text.substr(0, unit.size()), unit) ||
      slash == text.npos) {
    return std::nullopt;
  }
  HttpAnswer::ContentRange out;
  const auto range = trim(text.substr(unit.size(), slash - unit.size()));
  const auto total = text.substr(slash + 1);
  if (total != "*") {
    out.total = parse_number(total);
    if (!out.total) return std::nullopt;
  }
  if (range == "*") return out;
  const auto dash = range.find('-');
  if (dash == range.npos) return std::nullopt;
  out.first = parse_number(range.substr(0, dash));
  out.last = parse_number(range.substr(dash + 1));
  if (!out.first || !out.last || *out.last < *out.first) return std::nullopt;
  return out;
}

std::optional<Failure> check_read(const HttpAnswer& answer, const Request& request,
                                  ObjectInfo& info) {
  if (auto failure = check_status(answer)) return failure;
  if (auto failure = check_encoding(answer)) return failure;
  if (answer.lengths_differ) return Failure{Cause::bad_answer, "the answer has two lengths"};
  info.etag = answer.etag;
  info.crc32c = answer.crc32c;
  if (answer.status == 200) return check_whole(answer, request, info);

  const auto [offset, length] = request.range;
  const auto last = offset + length - 1;
  // AWS sends a part's checksum where the range is just that part.
  if (!(offset == 0 && answer.content_range && answer.content_range->total == length)) {
    info.crc32c.reset();
  }
  const auto range = answer.content_range.value_or(HttpAnswer::ContentRange{});
  info.size = range.total.value_or(0);
  if (auto failure = check_identity(info, range.total.has_value(), request.expect)) return failure;
  if (range.total && *range.total <= last) {
    return Failure{Cause::changed, fmt::format("the object ends at byte {}", *range.total)};
  }
  if (range.first != offset || range.last != last) {
    return Failure{Cause::bad_answer, range.first
                                          ? fmt::format("the server sent bytes {} to {} instead",
                                                        *range.first, *range.last)
                                          : "HTTP 206 without a well-formed Content-Range"};
  }
  if (answer.content_length && *answer.content_length != length) {
    return Failure{Cause::bad_answer, fmt::format("the answer's length is {} bytes, not {}",
                                                  *answer.content_length, length)};
  }
  return std::nullopt;
}

std::optional<Failure> check_stat(const HttpAnswer& answer, const Request& request,
                                  ObjectInfo& info) {
  info.etag = answer.etag;
  info.crc32c = answer.crc32c;
  // An empty object has no first byte to ask for: its 416 tells the size all the same.
  const bool empty = answer.status == 416 && answer.content_range &&
                     answer.content_range->total == std::uint64_t{0};
  if (!empty) {
    if (auto failure = check_status(answer)) return failure;
    if (auto failure = check_encoding(answer)) return failure;
  }
  const bool part = empty || answer.status == 206;
  if (part) info.crc32c.reset();  // it may be that of a part
  const auto range = answer.content_range.value_or(HttpAnswer::ContentRange{});
  const auto size = part ? range.total : answer.content_length;
  if (!size) return Failure{Cause::unsupported, "the server does not tell the object's size"};
  info.size = *size;
  return check_identity(info, true, request.expect);
}

std::optional<Failure> check_call(const HttpAnswer& answer, ObjectInfo& info) {
  info.etag = answer.etag;
  if (answer.status == 204) return std::nullopt;
  return check_status(answer);
}

}  // namespace faro::store
