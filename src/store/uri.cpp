#include "store/uri.hpp"

#include <strings.h>

#include <algorithm>

#include "base/error.hpp"
#include "store/store.hpp"

namespace faro::store {
namespace {

bool starts_with_nocase(std::string_view text, std::string_view prefix) noexcept {
  return text.size() >= prefix.size() &&
         strncasecmp(text.data(), prefix.data(), prefix.size()) == 0;
}

// "a=1&b=2" -> "a=***&b=***". Which values are secrets (signatures, tokens) only their server
// knows, so all are hidden; the names stay, as they tell how a URL is signed.
std::string hide_values(std::string_view query) {
  std::string out;
  while (true) {
    const auto end = query.find('&');
    const auto part = query.substr(0, end);
    const auto equals = part.find('=');
    if (equals != part.npos) out += part.substr(0, equals + 1);
    out += "***";
    if (end == query.npos) return out;
    out += '&';
    query.remove_prefix(end + 1);
  }
}

}  // namespace

bool has_scheme(std::string_view uri) noexcept {
  const auto colon = uri.find("://");
  return colon != uri.npos && colon > 0 && uri.substr(0, colon).find('/') == uri.npos;
}

Scheme scheme_of(std::string_view uri) noexcept {
  if (!has_scheme(uri) || starts_with_nocase(uri, "file://")) return Scheme::file;
  if (starts_with_nocase(uri, "http://") || is_https(uri)) return Scheme::http;
  if (starts_with_nocase(uri, "s3://")) return Scheme::s3;
  return Scheme::other;
}

bool is_https(std::string_view uri) noexcept {
  return starts_with_nocase(uri, "https://");
}

std::string file_path(std::string_view uri) {
  const std::string whole(uri);
  if (has_scheme(uri)) uri.remove_prefix(std::string_view("file://").size());
  check(!uri.empty() && uri.find('\0') == uri.npos, ErrorCode::invalid_argument,
        "'{}' names no file", redacted(whole));
  check(!has_scheme(whole) || uri.front() == '/', ErrorCode::invalid_argument,
        "'{}' names a host; a file's URI has three slashes: file:///path", redacted(whole));
  return std::string(uri);
}

void fail_scheme(const std::string& uri) {
  fail(ErrorCode::invalid_argument,
       "'{}': no such kind of store; there are file:///path, /path, http://, https:// and s3://",
       redacted(uri));
}

std::string redacted(const std::string& uri) {
  std::string out = uri;
  if (has_scheme(uri) && scheme_of(uri) != Scheme::file) {
    const auto authority = out.find("://") + 3;
    // All that follows a bucket's name is its key.
    const bool s3 = scheme_of(uri) == Scheme::s3;
    const auto path = std::min(out.find_first_of(s3 ? "/" : "/?#", authority), out.size());
    const auto at = out.rfind('@', path);
    if (at != out.npos && at >= authority && at < path) out.erase(authority, at + 1 - authority);
    const auto question = out.find('?');
    if (!s3 && question != out.npos) {
      const auto query = out.substr(question + 1);
      out = out.substr(0, question + 1) + hide_values(query);
    }
  }
  // A name may hold anything; a message is one line.
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

}  // namespace faro::store
