// Internal to store/: s3:// URIs. Where their requests go, how they are signed, and what the
// answers mean. It sends nothing itself: the http transport does, so that all stores share its
// connections.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/transport.hpp"

namespace faro::store::s3 {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// What is to be asked, before it is signed.
struct Question {
  std::string_view method;                                 ///< "GET", "HEAD", ...
  std::string_view uri;                                    ///< s3://bucket/key
  std::vector<std::pair<std::string, std::string>> query;  ///< not yet encoded
  Headers headers;  ///< sent and signed (but Accept-Encoding, which proxies change): Range, ...
  std::span<const std::byte> body;
};

/// Where it goes: the URL with its query, and all headers, the signature's and Host included. It
/// must be sent as it is: a key may hold "/../" (CURLOPT_PATH_AS_IS).
struct Target {
  std::string url;
  Headers headers;
};

/// The head and the body of an answer that is no success.
struct Refusal {
  long status = 0;
  std::string_view location = {};       ///< header Location
  std::string_view bucket_region = {};  ///< header x-amz-bucket-region
  std::string_view date = {};           ///< header Date
  std::string_view body = {};           ///< the first KiB of it; a HEAD's is empty
  std::string_view url = {};            ///< that gave it; empty: target()'s
};

/// Settings and credentials of one client. One thread uses it.
class S3 {
 public:
  /// Reads the environment and the files of AWS's tools. Errors: invalid_argument (a setting, a
  /// file that is not well formed, a profile that does not exist); access_denied where there are no
  /// credentials and `anonymous` is not set.
  /// \param options ca_file and s3
  explicit S3(const Options& options);
  ~S3();
  S3(const S3&) = delete;
  S3& operator=(const S3&) = delete;

  /// URL and headers of a question as of now. Renews credentials that are about to expire, in a
  /// thread of its own while the old ones still serve. Errors: invalid_argument (the URI),
  /// access_denied (no credentials can be had; names where they were looked for).
  [[nodiscard]] Target target(const Question& question);

  /// Where the same question goes next, if the answer says so: 301 and 400 with the bucket's region
  /// (kept for all later questions of the bucket), 301, 302, 307 and 308 with a Location. Signed
  /// anew for the endpoint's own host, if that is also who answered; sent to another host without a
  /// signature, a token, or any other credential; never from https:// to http://. Nothing where the
  /// answer leads nowhere: explain(). A store may lead in circles: the caller counts.
  [[nodiscard]] std::optional<Target> redirected(const Question& question, const Refusal& refusal);

  /// What a refusal means, in one line without secrets: the store's own code and message, and what
  /// to do. Codes count before statuses: SlowDown is throttled whatever its status, ExpiredToken
  /// is expired, RequestTimeTooSkewed names both clocks, NoSuchBucket the bucket. After expired,
  /// the credentials are read again before the next target().
  [[nodiscard]] Failure explain(const Question& question, const Refusal& refusal);

  /// PEM bundle that AWS's settings name (AWS_CA_BUNDLE, ca_bundle); empty: none.
  [[nodiscard]] const std::string& ca_bundle() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faro::store::s3
