#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include "faro/error.hpp"

namespace faro::pack {

/// The kind of failure that the operating system's number is.
[[nodiscard]] inline ErrorCode code_of(int error) noexcept {
  switch (error) {
    case ENOENT: return ErrorCode::not_found;
    case EACCES:
    case EPERM:
    case EROFS: return ErrorCode::access_denied;
    case ENOMEM: return ErrorCode::memory;
    default: return ErrorCode::io;
  }
}

[[nodiscard]] inline std::string text_of(int error) {
  return std::generic_category().message(error);
}

}  // namespace faro::pack
