// Internal to store/: the XML that S3 stores answer with. Pure functions of untrusted text; none
// expands entities or reads anything else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faro::store::s3 {

/// <Error>: empty where the text is of another kind.
struct ErrorAnswer {
  std::string code, message, region;
  std::string server_time;  ///< of RequestTimeTooSkewed
};
[[nodiscard]] ErrorAnswer parse_error(std::string_view xml);

/// A page of ListObjectsV2.
struct Listing {
  struct Object {
    std::string key;
    std::uint64_t size = 0;
    std::string etag;
  };
  std::vector<Object> objects;
  std::vector<std::string> prefixes;  ///< CommonPrefixes
  std::string next;                   ///< continuation token; empty: the last page
};
/// Undoes encoding-type=url. Error(format) where the text is no ListBucketResult, a size no number,
/// or a truncated page has no token.
[[nodiscard]] Listing parse_listing(std::string_view xml);

/// UploadId of InitiateMultipartUploadResult. Error(format) where there is none.
[[nodiscard]] std::string parse_upload_id(std::string_view xml);

/// Whether the text is a CompleteMultipartUploadResult: a 200 may yet carry an <Error>.
[[nodiscard]] bool is_completed(std::string_view xml);

/// The body of CompleteMultipartUpload: parts 1 to n with their ETags.
[[nodiscard]] std::string completion(const std::vector<std::string>& etags);

}  // namespace faro::store::s3
