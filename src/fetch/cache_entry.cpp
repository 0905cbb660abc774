#include "fetch/cache_entry.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <charconv>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "store/store.hpp"

namespace faro::fetch {
namespace {

// The last character is the version: of this header, and of what the key is made of.
constexpr std::array<char, 8> signature{'f', 'a', 'r', 'o', 'b', 'l', 'k', '1'};

Key hash(std::string_view bytes) {
  const auto value = XXH3_128bits(bytes.data(), bytes.size());
  return {value.high64, value.low64};
}

}  // namespace

std::string Key::text() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

std::optional<Key> Key::parse(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  Key key;
  const auto part = [&](std::size_t at, std::uint64_t& value) {
    const auto* end = text.data() + at + 16;
    const auto result = std::from_chars(text.data() + at, end, value, 16);
    return result.ec == std::errc() && result.ptr == end;
  };
  // As text() writes it: no capitals, no sign.
  if (!part(0, key.high) || !part(16, key.low) || key.text() != text) return std::nullopt;
  return key;
}

Keys::Keys(const manifest::Manifest& manifest) : manifest_(manifest) {
  for (const auto& shard : manifest.shards) {
    // Every part with its length before it: no two shards are one text.
    const auto uri = store::redacted(shard.uri);
    shards_.push_back(hash(
        fmt::format("{}:{} {} {}:{}", uri.size(), uri, shard.size, shard.etag.size(), shard.etag)));
  }
}

std::optional<Key> Keys::of(std::uint64_t index) const {
  const auto& block = manifest_.blocks[index];
  const bool checked = (block.flags & manifest::Block::has_crc) != 0;
  if (!checked && manifest_.shards[block.shard].etag.empty()) return std::nullopt;
  const auto& shard = shards_[block.shard];
  return hash(fmt::format("{} {} {} {} {}", shard.text(), block.offset, block.length, checked,
                          checked ? block.crc32c : 0));
}

EntryHeader EntryHeader::make(const Entry& entry, std::uint32_t payload_crc) {
  EntryHeader header{signature, entry.key, entry.length, payload_crc};
  header.header_crc = crc32c(std::as_bytes(std::span(&header, 1)));
  return header;
}

bool EntryHeader::is_of(const Entry& entry) const {
  auto expected = *this;
  expected.header_crc = 0;
  expected.header_crc = crc32c(std::as_bytes(std::span(&expected, 1)));
  return magic == signature && key == entry.key && length == entry.length &&
         header_crc == expected.header_crc;
}

std::uint64_t entry_cost(std::uint64_t length) {
  return align_up(length + sizeof(EntryHeader), 4096);
}

}  // namespace faro::fetch
