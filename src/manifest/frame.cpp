#include "manifest/frame.hpp"

#include <algorithm>
#include <cstring>

#include "base/crc32c.hpp"
#include "base/error.hpp"

namespace faro::manifest {
namespace {

/// As it stands in the file, little endian. The odd bytes of the magic show transfers as text.
struct Head {
  char magic[16] = {'\x89', 'f', 'a', 'r', 'o', ' ', 'm',  'a',
                    'n',    'i', 'f', 'e', 's', 't', '\r', '\n'};
  std::uint32_t version = frame_version;
  std::uint32_t crc32c = 0;
  std::uint64_t file_size = 0;
};
static_assert(sizeof(Head) == 32);

}  // namespace

std::vector<std::byte> frame(std::span<const std::byte> content) {
  Head head;
  head.crc32c = crc32c(content);
  head.file_size = frame_size + content.size();
  std::vector<std::byte> bytes(frame_size);
  std::memcpy(bytes.data(), &head, sizeof(head));
  return bytes;
}

std::uint32_t check_frame(std::span<const std::byte> frame, std::uint64_t file_size) {
  constexpr auto bad = ErrorCode::format;
  const Head expected;
  Head head;
  const bool whole = frame.size() == frame_size;
  if (whole) std::memcpy(&head, frame.data(), sizeof(head));
  check(whole && std::memcmp(head.magic, expected.magic, sizeof(head.magic)) == 0, bad,
        "not a faro manifest");
  check(head.version == frame_version, bad,
        "a manifest of version {} where this faro knows {}: index again", head.version,
        frame_version);
  check(head.file_size == file_size, bad,
        "the manifest has {} bytes where {} were written: cut short?", file_size, head.file_size);
  const auto rest = frame.subspan(sizeof(head));
  check(std::ranges::all_of(rest, [](std::byte b) { return b == std::byte{0}; }), bad,
        "the manifest's first bytes are corrupt: index again");
  return head.crc32c;
}

void check_content(std::span<const std::byte> content, std::uint32_t crc) {
  const std::uint32_t found = crc32c(content);
  check(found == crc, ErrorCode::format,
        "the manifest is corrupt: CRC32C {:08x} where {:08x} was written: index again", found, crc);
}

}  // namespace faro::manifest
