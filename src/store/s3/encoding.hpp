// Internal to store/: percent-encoding as SigV4 wants it, and safe text of strangers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace faro::store::s3 {

/// All but letters, digits and "-._~" (RFC 3986's unreserved) as %XX with capitals; '/' stays where
/// it is a path.
[[nodiscard]] std::string percent_encoded(std::string_view text, bool path = false);

/// The opposite; nothing where a % has no two digits. In a form a plus is a blank.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text, bool form = false);

/// At most `most` bytes of a store's text for a message of one line: no control characters.
[[nodiscard]] std::string printable(std::string_view text, std::size_t most);

/// Whether the two are equal but for the case of ASCII letters.
[[nodiscard]] bool same_nocase(std::string_view a, std::string_view b) noexcept;

/// ASCII letters small.
[[nodiscard]] std::string lower(std::string_view text);

/// Without blanks and line ends at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

}  // namespace faro::store::s3
