// Internal to store/: what a URI is, before any request.
#pragma once

#include <string>
#include <string_view>

namespace faro::store {

/// Which kind of store a URI belongs to. A plain path is a file.
enum class Scheme { file, http, s3, other };

/// The kind of store; scheme names count in any case, as RFC 3986 has them.
[[nodiscard]] Scheme scheme_of(std::string_view uri) noexcept;

/// Whether it is https://, in any case.
[[nodiscard]] bool is_https(std::string_view uri) noexcept;

/// Whether the URI has a scheme ("x://"): plain paths have none.
[[nodiscard]] bool has_scheme(std::string_view uri) noexcept;

/// The path of a file:// URI or a plain path, taken literally: nothing is percent-decoded, so every
/// file name has exactly one URI. Error(invalid_argument) for file://host/path.
[[nodiscard]] std::string file_path(std::string_view uri);

/// Throws the Error(invalid_argument) that lists the schemes there are.
[[noreturn]] void fail_scheme(const std::string& uri);

}  // namespace faro::store
