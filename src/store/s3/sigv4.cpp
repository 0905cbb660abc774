#include "store/s3/sigv4.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/error.hpp"
#include "store/s3/encoding.hpp"

namespace faro::store::s3 {
namespace {

using Digest = std::array<unsigned char, 32>;

std::string hex(const Digest& digest) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * digest.size());
  for (const auto byte : digest) out += {digits[byte >> 4U], digits[byte & 15U]};
  return out;
}

Digest hmac(std::string_view key, std::string_view text) {
  Digest out;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const auto* done = HMAC(EVP_sha256(), key.data(), narrow<int>(key.size()), bytes, text.size(),
                          out.data(), nullptr);
  check(done != nullptr, ErrorCode::internal, "OpenSSL gives no HMAC-SHA256");
  return out;
}

std::string_view view(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

// Blanks at the ends go, and runs of them become one.
std::string squeezed(std::string_view value) {
  std::string out;
  for (const char c : trimmed(value)) {
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    if (!blank) out += c;
    if (blank && out.back() != ' ') out += ' ';
  }
  return out;
}

// Headers as they are signed: small names in order, values of one name joined as they came.
using Signed = std::map<std::string, std::string>;

Signed signed_headers(const Pairs& headers) {
  // What a proxy may change on the way, or curl sets as it likes.
  constexpr std::array left_out{"accept-encoding", "authorization",     "connection",
                                "expect",          "transfer-encoding", "user-agent"};
  Signed out;
  for (const auto& [name, value] : headers) {
    const std::string key = lower(name);
    if (std::find(left_out.begin(), left_out.end(), key) != left_out.end()) continue;
    const auto [entry, is_new] = out.emplace(key, squeezed(value));
    if (!is_new) entry->second += "," + squeezed(value);
  }
  return out;
}

std::string names_of(const Signed& headers) {
  std::string out;
  for (const auto& [name, value] : headers) out += (out.empty() ? "" : ";") + name;
  return out;
}

std::string canonical(const Signable& what, const Signed& headers) {
  std::string lines;
  for (const auto& [name, value] : headers) lines += name + ":" + value + "\n";
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", what.method, percent_encoded(what.path, true),
                     canonical_query(what.query), lines, names_of(headers), what.payload_hash);
}

}  // namespace

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest out;
  const int done =
      EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, EVP_sha256(), nullptr);
  check(done == 1, ErrorCode::internal, "OpenSSL gives no SHA-256");
  return hex(out);
}

std::string amz_date(Time now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(seconds - day);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

std::string canonical_query(const Pairs& query) {
  Pairs encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(percent_encoded(name), percent_encoded(value));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) out += (out.empty() ? "" : "&") + name + "=" + value;
  return out;
}

std::string canonical_request(const Signable& what) {
  return canonical(what, signed_headers(what.headers));
}

const Digest& Signer::signing_key(const std::string& secret, const std::string& day,
                                  const Scope& scope) {
  auto& derived = derived_[fmt::format("{}/{}", scope.region, scope.service)];
  if (derived.secret != secret || derived.day != day) {
    auto key = hmac("AWS4" + secret, day);
    key = hmac(view(key), scope.region);
    key = hmac(view(key), scope.service);
    derived = {secret, day, hmac(view(key), "aws4_request")};
  }
  return derived.key;
}

std::string Signer::authorization(const Signable& what, const Keys& keys, const Scope& scope) {
  const std::string date = amz_date(scope.now);
  const std::string day = date.substr(0, 8);
  const std::string where = fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const auto headers = signed_headers(what.headers);
  const auto request = canonical(what, headers);
  const auto text = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", date, where,
                                sha256_hex(std::as_bytes(std::span(request))));
  return fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", keys.id,
                     where, names_of(headers),
                     hex(hmac(view(signing_key(keys.secret, day, scope)), text)));
}

}  // namespace faro::store::s3
