#include "store/s3/meaning.hpp"

#include <array>

namespace faro::store::s3 {
namespace {

struct Meaning {
  std::string_view code;
  Cause cause;
};

// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what MinIO and Ceph add.
constexpr std::array meanings{
    Meaning{"SlowDown", Cause::throttled},
    Meaning{"SlowDownRead", Cause::throttled},
    Meaning{"SlowDownWrite", Cause::throttled},
    Meaning{"ServiceUnavailable", Cause::throttled},
    Meaning{"Busy", Cause::throttled},
    Meaning{"RequestLimitExceeded", Cause::throttled},
    Meaning{"BandwidthLimitExceeded", Cause::throttled},
    Meaning{"TooManyRequests", Cause::throttled},
    Meaning{"TooManyRequestsException", Cause::throttled},
    Meaning{"RequestThrottled", Cause::throttled},
    Meaning{"RequestThrottledException", Cause::throttled},
    Meaning{"ThrottledException", Cause::throttled},
    Meaning{"InternalError", Cause::server_error},
    Meaning{"InternalFailure", Cause::server_error},
    Meaning{"RequestTimeout", Cause::server_error},
    Meaning{"OperationAborted", Cause::server_error},
    Meaning{"IncompleteBody", Cause::connection},
    // The bytes of a body were others on arrival.
    Meaning{"BadDigest", Cause::bad_answer},
    Meaning{"XAmzContentSHA256Mismatch", Cause::bad_answer},
    Meaning{"NoSuchKey", Cause::not_found},
    Meaning{"NoSuchBucket", Cause::not_found},
    Meaning{"NoSuchUpload", Cause::not_found},
    Meaning{"NoSuchVersion", Cause::not_found},
    Meaning{"AccessDenied", Cause::access_denied},
    Meaning{"AllAccessDisabled", Cause::access_denied},
    Meaning{"AccountProblem", Cause::access_denied},
    Meaning{"InvalidAccessKeyId", Cause::access_denied},
    Meaning{"SignatureDoesNotMatch", Cause::access_denied},
    Meaning{"InvalidToken", Cause::access_denied},
    Meaning{"InvalidObjectState", Cause::access_denied},
    Meaning{"RequestTimeTooSkewed", Cause::access_denied},
    Meaning{"ExpiredToken", Cause::expired},
    Meaning{"ExpiredTokenException", Cause::expired},
    Meaning{"TokenRefreshRequired", Cause::expired},
    Meaning{"PreconditionFailed", Cause::changed},
    Meaning{"InvalidRange", Cause::changed},
    Meaning{"PermanentRedirect", Cause::invalid},
    Meaning{"TemporaryRedirect", Cause::invalid},
    Meaning{"AuthorizationHeaderMalformed", Cause::invalid},
    Meaning{"IllegalLocationConstraintException", Cause::invalid},
    Meaning{"InvalidBucketName", Cause::invalid},
    Meaning{"MethodNotAllowed", Cause::unsupported},
    Meaning{"NotImplemented", Cause::unsupported},
};

}  // namespace

Cause cause_of(std::string_view code, long status) noexcept {
  for (const auto& meaning : meanings) {
    if (meaning.code == code) return meaning.cause;
  }
  if (code.starts_with("Throttling")) return Cause::throttled;
  switch (status) {
    case 401:
    case 403: return Cause::access_denied;
    case 404:
    case 410: return Cause::not_found;
    case 405:
    case 501: return Cause::unsupported;
    case 408: return Cause::server_error;
    case 412:
    case 416: return Cause::changed;
    case 429:
    case 503:
    case 509: return Cause::throttled;
    default: break;
  }
  if (status >= 500) return Cause::server_error;
  if (status >= 400) return Cause::invalid;
  return status >= 300 ? Cause::unsupported : Cause::bad_answer;
}

}  // namespace faro::store::s3
