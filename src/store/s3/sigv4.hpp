// Internal to store/: AWS Signature Version 4 in the Authorization header.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace faro::store::s3 {

using Pairs = std::vector<std::pair<std::string, std::string>>;
using Time = std::chrono::system_clock::time_point;

/// What a signature is made with. The secret and the token appear in no message.
struct Keys {
  std::string id;
  std::string secret;
  std::string token;  ///< of temporary keys; empty: none
  bool operator==(const Keys&) const = default;
};

/// What is signed.
struct Signable {
  std::string_view method;
  std::string_view path;          ///< bytes, not yet encoded, from the first slash on
  const Pairs& query;             ///< not yet encoded, in any order
  const Pairs& headers;           ///< Host and x-amz-date are among them
  std::string_view payload_hash;  ///< sha256_hex of the body
};

/// Where and when a signature holds.
struct Scope {
  std::string_view region;
  std::string_view service = "s3";
  Time now;
};

/// SHA-256 in 64 small hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);

/// "20150830T123600Z", as x-amz-date has it.
[[nodiscard]] std::string amz_date(Time now);

/// A query as it is signed, which is how it must be sent, too: encoded, sorted, a '=' even where
/// there is no value.
[[nodiscard]] std::string canonical_query(const Pairs& query);

/// The canonical request by S3's rule: the path is encoded once, and stays as it is otherwise.
[[nodiscard]] std::string canonical_request(const Signable& what);

/// Signs; remembers the key of a day and region, which costs four of a signature's five HMACs.
class Signer {
 public:
  /// The value of the Authorization header.
  [[nodiscard]] std::string authorization(const Signable& what, const Keys& keys,
                                          const Scope& scope);

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Derived {
    std::string secret, day;
    Digest key{};
  };
  const Digest& signing_key(const std::string& secret, const std::string& day, const Scope& scope);

  std::map<std::string, Derived> derived_;  // by region and service
};

}  // namespace faro::store::s3
