// Internal to store/: from s3://bucket/key to a host and a path, and back from a redirect.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/s3/settings.hpp"
#include "store/s3/sigv4.hpp"

namespace faro::store::s3 {

/// What a URI names. The key is taken byte by byte: '?', '#' and '%' are its own. It may be empty.
struct Name {
  std::string bucket, key;
};

/// Error(invalid_argument) where it is no s3://bucket[/key].
[[nodiscard]] Name parse_uri(std::string_view uri);

/// Where a request goes, before it is encoded.
struct Address {
  Url server;        ///< its path and query mean nothing
  std::string path;  ///< bytes, from the first slash on
  Pairs query;

  /// As it is sent, and as it is signed.
  [[nodiscard]] std::string url() const;
};

/// Error(invalid_argument) where the bucket's name can be no host's, but virtual style is asked
/// for.
[[nodiscard]] Address address_of(const Settings& settings, const Name& name,
                                 const std::string& region);

/// Whether requests for the bucket may be signed for this server: it is the endpoint, or has the
/// bucket's name before the endpoint's; https:// in place of http://, on their own ports, will do.
/// For AWS's own endpoint, any of AWS's for S3.
[[nodiscard]] bool is_own(const Settings& settings, const Name& name, const Url& server);

/// Region of one of AWS's hosts for S3, with or without the bucket's name before it.
[[nodiscard]] std::optional<std::string> aws_region(std::string_view host, std::string_view bucket);

/// "a=1&b" decoded; nothing where it is not well encoded.
[[nodiscard]] std::optional<Pairs> parse_query(std::string_view query);

}  // namespace faro::store::s3
