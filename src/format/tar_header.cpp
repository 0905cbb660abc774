#include "format/tar_header.hpp"

#include <array>
#include <charconv>
#include <cstring>

namespace faro::format::tar {
namespace {

// Fields of a header: POSIX.1-2017, pax, "ustar Interchange Format".
constexpr std::size_t name_at = 0, name_size = 100;
constexpr std::size_t size_at = 124, size_size = 12;
constexpr std::size_t checksum_at = 148, checksum_size = 8;
constexpr std::size_t type_at = 156;
constexpr std::size_t magic_at = 257;
constexpr std::size_t prefix_at = 345, prefix_size = 155;

std::optional<std::uint64_t> base256(std::span<const std::byte> field) {
  const auto first = std::to_integer<unsigned>(field[0]);
  if ((first & 0x40U) != 0) return std::nullopt;  // negative
  std::uint64_t value = first & 0x3fU;
  for (const std::byte byte : field.subspan(1)) {
    if ((value >> 56U) != 0) return std::nullopt;
    value = (value << 8U) | std::to_integer<std::uint64_t>(byte);
  }
  return value;
}

}  // namespace

HeaderKind classify(Header header) {
  std::uint32_t sum = 0;
  for (const std::byte byte : header) sum += std::to_integer<std::uint32_t>(byte);
  if (sum == 0) return HeaderKind::zero;
  const auto field = header.subspan<checksum_at, checksum_size>();
  const auto stored = number(field);
  if (!stored) return HeaderKind::damaged;
  // The sum is taken as if the checksum's own bytes were spaces.
  for (const std::byte byte : field) sum += ' ' - std::to_integer<std::uint32_t>(byte);
  if (*stored == sum) return HeaderKind::valid;
  // As signed chars, every byte of 128 and more counts 256 less.
  std::uint32_t high = 0;
  for (const std::byte byte : header) high += std::to_integer<std::uint32_t>(byte) >> 7U;
  for (const std::byte byte : field) high -= std::to_integer<std::uint32_t>(byte) >> 7U;
  const auto signed_sum = static_cast<std::int64_t>(sum) - 256 * static_cast<std::int64_t>(high);
  return signed_sum >= 0 && *stored == static_cast<std::uint64_t>(signed_sum) ? HeaderKind::valid
                                                                              : HeaderKind::damaged;
}

HeaderKind classify_seen(Header header) {
  // A valid header's checksum is above 0, so it begins with a digit, a space or base-256's mark.
  return header[checksum_at] == std::byte{0} ? HeaderKind::zero : HeaderKind::valid;
}

std::optional<std::uint64_t> number(std::span<const std::byte> field) {
  if ((field[0] & std::byte{0x80}) != std::byte{0}) return base256(field);
  std::size_t i = 0;
  const auto at = [&](std::size_t k) { return std::to_integer<char>(field[k]); };
  while (i < field.size() && at(i) == ' ') ++i;
  std::uint64_t value = 0;  // 12 octal digits fit with ease
  for (; i < field.size() && at(i) >= '0' && at(i) <= '7'; ++i) {
    value = value * 8 + static_cast<std::uint64_t>(at(i) - '0');
  }
  if (i < field.size() && at(i) != ' ' && at(i) != '\0') return std::nullopt;
  return value;
}

std::optional<std::uint64_t> size_of(Header header) {
  return number(header.subspan<size_at, size_size>());
}

char type_of(Header header) {
  return std::to_integer<char>(header[type_at]);
}

std::string_view text(std::span<const std::byte> field) {
  const auto* begin = reinterpret_cast<const char*>(field.data());
  return {begin, field.empty() ? 0 : ::strnlen(begin, field.size())};
}

std::string_view path_of(Header header, std::string& buffer) {
  const auto name = text(header.subspan<name_at, name_size>());
  // GNU's magic is "ustar " and its headers keep times where POSIX has the prefix.
  constexpr std::array posix{'u', 's', 't', 'a', 'r', '\0'};
  if (std::memcmp(header.data() + magic_at, posix.data(), posix.size()) != 0) return name;
  const auto prefix = text(header.subspan<prefix_at, prefix_size>());
  if (prefix.empty()) return name;
  buffer.assign(prefix).append("/").append(name);
  return buffer;
}

std::optional<std::uint64_t> decimal(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool for_each_record(std::span<const std::byte> records,
                     const std::function<void(std::string_view, std::string_view)>& each) {
  std::string_view rest(reinterpret_cast<const char*>(records.data()), records.size());
  while (!rest.empty()) {  // "LENGTH KEY=VALUE\n", LENGTH counting all of it
    const auto space = rest.find(' ');
    if (space == std::string_view::npos) return false;
    const auto length = decimal(rest.substr(0, space));
    if (!length || *length > rest.size() || *length < space + 2) return false;
    auto record = rest.substr(space + 1, *length - space - 1);
    if (record.back() != '\n') return false;
    record.remove_suffix(1);
    const auto equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return false;
    each(record.substr(0, equals), record.substr(equals + 1));
    rest.remove_prefix(*length);
  }
  return true;
}

}  // namespace faro::format::tar
