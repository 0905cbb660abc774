// The 512-byte header of a tar member, and the records of a PAX extended header. Pure functions on
// untrusted bytes: they answer "no" and leave the message to the walker, which knows where it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace faro::format::tar {

inline constexpr std::uint64_t block = 512;

using Header = std::span<const std::byte, block>;

/// What a header's checksum says of it.
enum class HeaderKind { zero, valid, damaged };

/// Compares the checksum with the sum of the bytes, unsigned as POSIX says and signed as some old
/// writers had it.
[[nodiscard]] HeaderKind classify(Header header);
/// The same for a header that classify() has called valid or zero: one byte tells them apart.
[[nodiscard]] HeaderKind classify_seen(Header header);

/// A number as tar stores it: octal text, or base-256 (first bit set) where octal is too short.
/// Nothing where it is malformed, negative or above 64 bits. Blank is 0.
[[nodiscard]] std::optional<std::uint64_t> number(std::span<const std::byte> field);

[[nodiscard]] std::optional<std::uint64_t> size_of(Header header);
[[nodiscard]] char type_of(Header header);
/// The path: a view into the header, or into `buffer` where a ustar prefix comes before the name.
[[nodiscard]] std::string_view path_of(Header header, std::string& buffer);

/// Text up to the first NUL.
[[nodiscard]] std::string_view text(std::span<const std::byte> field);

/// Calls `each` with key and value of every record; false where the records are malformed.
[[nodiscard]] bool for_each_record(
    std::span<const std::byte> records,
    const std::function<void(std::string_view, std::string_view)>& each);

/// Digits alone as a 64-bit number.
[[nodiscard]] std::optional<std::uint64_t> decimal(std::string_view digits);

}  // namespace faro::format::tar
