#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "store/s3/encoding.hpp"
#include "store/s3/settings.hpp"

namespace faro::store::s3 {
namespace {

bool is_host(std::string_view host) noexcept {
  constexpr std::string_view others = ".-_:[]";
  return !host.empty() && std::all_of(host.begin(), host.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || others.find(c) != others.npos;
  });
}

unsigned own_port(bool secure) noexcept {
  return secure ? 443 : 80;
}

}  // namespace

std::string Url::authority() const {
  return port == own_port(secure) ? host : fmt::format("{}:{}", host, port);
}

std::string Url::origin() const {
  return (secure ? "https://" : "http://") + authority();
}

std::optional<Url> parse_url(std::string_view text) {
  constexpr std::string_view plain = "http://", secure = "https://";
  // Nothing that could end a line of a request.
  if (std::any_of(text.begin(), text.end(),
                  [](unsigned char c) { return c <= 0x20 || c == 0x7f; })) {
    return std::nullopt;
  }
  Url out;
  out.secure = same_nocase(text.substr(0, secure.size()), secure);
  if (!out.secure && !same_nocase(text.substr(0, plain.size()), plain)) return std::nullopt;
  text.remove_prefix(out.secure ? secure.size() : plain.size());

  const auto end = std::min(text.find_first_of("/?#"), text.size());
  const auto authority = text.substr(0, end);
  text = text.substr(end, text.find('#', end) - end);
  const auto question = text.find('?');
  out.path = text.substr(0, question);
  if (question != text.npos) out.query = text.substr(question + 1);

  // The last colon that is no part of [an IPv6 address].
  const auto bracket = authority.rfind(']');
  const auto colon = authority.find(':', bracket == authority.npos ? 0 : bracket);
  out.host = lower(authority.substr(0, colon));
  out.port = own_port(out.secure);
  if (!is_host(out.host) || (bracket == authority.npos) != (out.host.front() != '[')) {
    return std::nullopt;
  }
  if (colon == authority.npos) return out;
  const auto digits = authority.substr(colon + 1);
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc{} || stop != digits.data() + digits.size() || out.port == 0 ||
      out.port > 65535) {
    return std::nullopt;
  }
  return out;
}

}  // namespace faro::store::s3
