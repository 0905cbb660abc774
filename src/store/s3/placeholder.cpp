// Until S3 lands: every call says so. Goes with it.
#include "store/s3/s3.hpp"

#include "base/error.hpp"
#include "store/s3/xml.hpp"

namespace faro::store::s3 {
struct S3::Impl {};
S3::S3(const Options&) { fail(ErrorCode::internal, "s3:// is not there yet"); }
S3::~S3() = default;
Target S3::target(const Question&) { return {}; }
std::optional<Target> S3::redirected(const Question&, const Refusal&) { return std::nullopt; }
Failure S3::explain(const Question&, const Refusal&) { return {Cause::unsupported, ""}; }
const std::string& S3::ca_bundle() const noexcept {
  static const std::string none;
  return none;
}
Listing parse_listing(std::string_view) { return {}; }
}  // namespace faro::store::s3
