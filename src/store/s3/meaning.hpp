// Internal to store/: what an S3 store's refusal means. Pure.
#pragma once

#include <string_view>

#include "store/transport.hpp"

namespace faro::store::s3 {

/// The cause that a code such as "SlowDown" stands for; the status where the code is not known, or
/// there is none.
[[nodiscard]] Cause cause_of(std::string_view code, long status) noexcept;

}  // namespace faro::store::s3
