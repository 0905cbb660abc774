// Internal to fetch/: what a cached block is called, and what stands before its bytes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/manifest.hpp"

namespace faro::fetch {

/// 128 bits that stand for the content of a block. Equal keys, equal bytes.
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Key&) const = default;

  /// 32 hexadecimal digits, and back.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<Key> parse(std::string_view text);
};

/// The keys of a manifest's blocks: XXH3-128 over the shard's URI (without user, password and
/// query, which may be secrets and change from job to job), its size and ETag, the block's offset
/// and length, and its CRC32C where the manifest has one.
class Keys {
 public:
  explicit Keys(const manifest::Manifest& manifest);
  /// Nothing where neither an ETag nor a checksum tells this content from what may stand there
  /// tomorrow: such a block is not cached.
  [[nodiscard]] std::optional<Key> of(std::uint64_t block) const;

 private:
  const manifest::Manifest& manifest_;
  std::vector<Key> shards_;
};

/// One block of the data set, as the cache sees it.
struct Entry {
  std::uint64_t block = 0;
  Key key;
  std::uint64_t length = 0;  ///< bytes of the block
};

/// Stands before a block's bytes, in host byte order: a cache belongs to one kind of node.
struct EntryHeader {
  std::array<char, 8> magic{};
  Key key;
  std::uint64_t length = 0;
  std::uint32_t payload_crc = 0;  ///< CRC32C of the block's bytes
  std::uint32_t header_crc = 0;   ///< CRC32C of this header with zeros here
  std::array<std::byte, 24> unused{};

  [[nodiscard]] static EntryHeader make(const Entry& entry, std::uint32_t payload_crc);
  /// Whether it is whole, and that entry's.
  [[nodiscard]] bool is_of(const Entry& entry) const;
};
static_assert(sizeof(EntryHeader) == 64);

/// Bytes that an entry counts against the limit: its own in whole pages, as file systems give them.
[[nodiscard]] std::uint64_t entry_cost(std::uint64_t length);

}  // namespace faro::fetch
