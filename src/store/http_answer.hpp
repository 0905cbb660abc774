// Internal to store/: what an HTTP answer's head says, and whether it answers what was asked. Pure
// functions of untrusted text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/transport.hpp"

namespace faro::store {

/// The head of an answer, filled line by line as it arrives.
struct HttpAnswer {
  /// "bytes 0-99/1000"; total is missing where the server says `*`, first and last in a 416.
  struct ContentRange {
    std::optional<std::uint64_t> first, last, total;
  };

  long status = 0;
  std::string reason;
  std::optional<std::uint64_t> content_length;
  std::optional<ContentRange> content_range;
  std::string etag;
  std::string content_encoding;
  std::string location;
  std::string bucket_region;  ///< x-amz-bucket-region
  std::string date;
  std::optional<std::uint32_t> crc32c;  ///< x-amz-checksum-crc32c of a whole object
  double retry_after = 0;               ///< seconds; 0: not given, or as a date
  bool coded = false;                   ///< Transfer-Encoding
  bool closes = false;                  ///< the connection ends with this answer
  bool lengths_differ = false;          ///< of two Content-Lengths

  /// Takes one line of the head. A status line begins another answer (redirects, 100 Continue).
  void take(std::string_view line);
};

/// Whether an ETag promises equal bytes, so that If-Match may name it (RFC 9110, 8.8.1).
[[nodiscard]] bool is_strong_etag(std::string_view etag) noexcept;

/// "bytes 0-99/1000" or "bytes */1000"; nothing where it is not of that form.
[[nodiscard]] std::optional<HttpAnswer::ContentRange> parse_content_range(std::string_view text);

/// Whether the head answers a read of the request's range; fills `info` where it does.
[[nodiscard]] std::optional<Failure> check_read(const HttpAnswer& answer, const Request& request,
                                                ObjectInfo& info);

/// The same for a question for the size, by HEAD or by a GET of the first byte.
[[nodiscard]] std::optional<Failure> check_stat(const HttpAnswer& answer, const Request& request,
                                                ObjectInfo& info);

/// The same for a call: any 2xx answers it.
[[nodiscard]] std::optional<Failure> check_call(const HttpAnswer& answer, ObjectInfo& info);

}  // namespace faro::store
