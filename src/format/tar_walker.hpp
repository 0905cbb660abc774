#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/format.hpp"
#include "format/tar_header.hpp"

namespace faro::format::tar {

/// One member, with the extension headers that come before it.
struct Member {
  std::uint64_t begin = 0;  ///< its first extension header, or its header
  std::uint64_t data = 0;   ///< its payload
  std::uint64_t size = 0;   ///< bytes of the payload
  std::uint64_t end = 0;    ///< one past its padding
  bool regular = false;     ///< a file; else a directory, a link or another kind
  bool own_path = false;    ///< the path stands at the beginning of its header, as a whole
  std::string_view path;    ///< valid until the next read of the source
};

/// How the bytes end.
enum class Finish {
  marker,    ///< a shard: two zero blocks, then anything
  at_bytes,  ///< a block within a shard: where its bytes end
  /// A sample that a scan has found: a shard's last one has the marker. The scan has compared its
  /// headers' checksums, which are not looked at again.
  either,
};

/// Walks the members of a tar file by reading their headers, never their payloads: the one reader
/// of ustar, v7, GNU (long names, base-256) and PAX headers. Allocates only for long names, once.
class Walker {
 public:
  Walker(Source& source, Finish finish) : source_(source), finish_(finish) {}
  /// The next member; false at the end. Error(format) with the byte of the shard.
  bool next(Member& member);
  /// Throws Error(format) for what stands at `offset` of the source.
  [[noreturn]] void damaged(std::uint64_t offset, std::string_view what) const;

 private:
  [[nodiscard]] bool at_end(bool pending);
  void check_marker();
  void check_extent(std::uint64_t size) const;
  void read_extension(char type, std::uint64_t size);
  void read_pax(char type, std::uint64_t size);

  Source& source_;
  Finish finish_;
  std::uint64_t position_ = 0;
  std::string long_path_;  // of extension headers, or empty
  std::optional<std::uint64_t> pax_size_;
  std::string buffer_;
};

}  // namespace faro::format::tar
