#include "store/s3/address.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "store/s3/encoding.hpp"

namespace faro::store::s3 {
namespace {

bool is_small_or_digit(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// What stores take as a bucket's name: AWS's rules, and capitals and '_' as older ones have them.
bool is_bucket(std::string_view name) noexcept {
  const auto begins = [](char c) { return is_small_or_digit(c) || (c >= 'A' && c <= 'Z'); };
  return name.size() >= 3 && name.size() <= 255 && begins(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return begins(c) || c == '-' || c == '.' || c == '_'; });
}

// Whether it can stand before a host's name; with dots no certificate fits.
bool is_label(std::string_view name) noexcept {
  return name.size() <= 63 && is_small_or_digit(name.front()) && is_small_or_digit(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_small_or_digit(c) || c == '-'; });
}

bool is_number(std::string_view host) noexcept {
  return host.starts_with('[') || host.find_first_not_of("0123456789.") == host.npos;
}

Url aws_server(const std::string& region) {
  const char* suffix = region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  return {true, fmt::format("s3.{}.{}", lower(region), suffix), 443, "", ""};
}

}  // namespace

Name parse_uri(std::string_view uri) {
  constexpr std::string_view scheme = "s3://";
  check(same_nocase(uri.substr(0, scheme.size()), scheme), ErrorCode::invalid_argument,
        "this is no s3:// URI");
  uri.remove_prefix(scheme.size());
  const auto slash = uri.find('/');
  Name out{std::string(uri.substr(0, slash)), ""};
  if (slash != uri.npos) out.key = uri.substr(slash + 1);
  check(is_bucket(out.bucket), ErrorCode::invalid_argument,
        "the bucket's name (of s3://bucket/key) must be 3 to 255 letters, digits, '-', '.' or '_'");
  return out;
}

std::string Address::url() const {
  auto out = server.origin() + percent_encoded(path, true);
  if (!query.empty()) out += "?" + canonical_query(query);
  return out;
}

Address address_of(const Settings& settings, const Name& name, const std::string& region) {
  Address out{settings.endpoint ? *settings.endpoint : aws_server(region), "", {}};
  out.path = std::exchange(out.server.path, "");
  const bool fits = is_label(name.bucket) && !is_number(out.server.host);
  const bool before_host = settings.style == Style::virtual_host ||
                           (settings.style == Style::automatic && !settings.endpoint && fits);
  check(!before_host || fits, ErrorCode::invalid_argument,
        "the bucket '{}' cannot stand before the host '{}': give s3_style = path", name.bucket,
        out.server.host);
  if (before_host) {
    out.server.host = name.bucket + "." + out.server.host;
    out.path += "/" + name.key;
  } else {
    out.path += "/" + name.bucket;
    if (!name.key.empty()) out.path += "/" + name.key;
  }
  return out;
}

std::optional<std::string> aws_region(std::string_view host, std::string_view bucket) {
  if (host.starts_with(bucket) && host.substr(bucket.size()).starts_with('.')) {
    host.remove_prefix(bucket.size() + 1);
  }
  for (const std::string_view suffix : {".amazonaws.com", ".amazonaws.com.cn"}) {
    if (!host.ends_with(suffix)) continue;
    host.remove_suffix(suffix.size());
    if (host == "s3") return "us-east-1";
    if (!host.starts_with("s3.") && !host.starts_with("s3-")) return std::nullopt;
    host.remove_prefix(3);
    if (!is_region(host)) return std::nullopt;
    return std::string(host);
  }
  return std::nullopt;
}

bool is_own(const Settings& settings, const Name& name, const Url& server) {
  if (!settings.endpoint) {
    return server.secure && server.port == 443 && aws_region(server.host, name.bucket).has_value();
  }
  const Url& own = *settings.endpoint;
  const bool same_host = server.host == own.host || server.host == name.bucket + "." + own.host;
  const bool same_port = server.secure == own.secure && server.port == own.port;
  const bool upgraded = !own.secure && own.port == 80 && server.secure && server.port == 443;
  return same_host && (same_port || upgraded);
}

std::optional<Pairs> parse_query(std::string_view query) {
  Pairs out;
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto part = query.substr(0, end);
    query.remove_prefix(end == query.npos ? query.size() : end + 1);
    if (part.empty()) continue;
    const auto equals = part.find('=');
    auto name = percent_decoded(part.substr(0, equals));
    auto value = percent_decoded(equals == part.npos ? "" : part.substr(equals + 1));
    if (!name || !value) return std::nullopt;
    out.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

}  // namespace faro::store::s3
