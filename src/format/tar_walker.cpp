#include "format/tar_walker.hpp"

#include "base/error.hpp"

namespace faro::format::tar {
namespace {

/// Long names and PAX records of one member. Paths end at some KiB; the rest would be an attack, or
/// damage.
constexpr std::uint64_t extension_limit = std::uint64_t{1} << 20;

bool is_extension(char type) {
  return type == 'x' || type == 'X' || type == 'g' || type == 'L' || type == 'K';
}

/// Links, devices, directories and FIFOs have no payload, whatever their size says (POSIX).
bool has_payload(char type) {
  return type < '1' || type > '6';
}

}  // namespace

void Walker::damaged(std::uint64_t offset, std::string_view what) const {
  fail(ErrorCode::format, "tar, byte {}: {}", source_.shard_offset() + offset, what);
}

bool Walker::next(Member& member) {
  long_path_.clear();
  pax_size_.reset();
  member.begin = position_;
  bool pending = false;  // an extension header waits for its member
  while (!at_end(pending)) {
    const Header header(source_.read(position_, block).first<block>());
    const auto kind = finish_ == Finish::either ? classify_seen(header) : classify(header);
    if (kind == HeaderKind::zero) {
      if (pending) damaged(position_, "the end marker follows an extension header");
      check_marker();
      return false;
    }
    if (kind == HeaderKind::damaged) {
      damaged(position_, "no tar header: its checksum is wrong; is this a tar file, uncompressed?");
    }
    const char type = type_of(header);
    if (type == 'S')
      damaged(position_, "sparse members are not supported: write it without --sparse");
    const auto own_size = size_of(header);
    if (!own_size) damaged(position_, "the member's size is malformed, negative or above 64 bits");
    if (is_extension(type)) {
      check_extent(*own_size);
      read_extension(type, *own_size);
      pending = pending || type != 'g';
      if (position_ - member.begin > extension_limit) {
        damaged(member.begin, "extension headers of more than 1 MiB before one member");
      }
      continue;
    }
    member.path = long_path_.empty() ? path_of(header, buffer_) : std::string_view(long_path_);
    member.own_path = static_cast<const void*>(member.path.data()) == header.data();
    const bool old_directory = type == '\0' && member.path.ends_with('/');
    member.size = has_payload(type) && !old_directory ? pax_size_.value_or(*own_size) : 0;
    check_extent(member.size);
    member.regular = (type == '0' || type == '\0' || type == '7') && !old_directory;
    member.data = position_ + block;
    position_ = member.end = member.data + align_up(member.size, block);
    return true;
  }
  return false;
}

/// Whether the bytes end here as they may; otherwise a header is there to be read.
bool Walker::at_end(bool pending) {
  const std::uint64_t left = source_.size() - position_;
  if (left >= block) return false;
  if (finish_ == Finish::marker) {
    damaged(position_, "the shard is cut short: it ends without the two zero blocks of a tar file");
  }
  if (left != 0) damaged(position_, "the bytes end within a header");
  if (pending) damaged(position_, "the bytes end after an extension header");
  return true;
}

/// Two zero blocks end a shard; the first is at position_.
void Walker::check_marker() {
  if (finish_ == Finish::either) return;
  if (finish_ == Finish::at_bytes) damaged(position_, "an end marker within the shard");
  if (source_.size() - position_ < 2 * block) {
    damaged(position_, "the shard is cut short: one zero block at its end where tar writes two");
  }
  const Header second(source_.read(position_ + block, block).first<block>());
  if (classify(second) != HeaderKind::zero) {
    damaged(position_, "a single zero block between members: two end a tar file");
  }
}

/// Whether the payload of the header at position_ is there, padding included.
void Walker::check_extent(std::uint64_t size) const {
  const std::uint64_t left = source_.size() - position_ - block;
  if (size <= left - left % block) return;
  damaged(position_, fmt::format("a member of {} bytes where {} are left: the shard is cut short, "
                                 "or damaged",
                                 size, left));
}

void Walker::read_extension(char type, std::uint64_t size) {
  if (size > extension_limit) {
    damaged(position_, fmt::format("an extension header of {} bytes; at most 1 MiB", size));
  }
  if (type == 'L') {
    long_path_ = text(source_.read(position_ + block, size));
  } else if (type != 'K') {
    read_pax(type, size);
  }
  position_ += block + align_up(size, block);
}

void Walker::read_pax(char type, std::uint64_t size) {
  const auto record = [&](std::string_view key, std::string_view value) {
    if (key.starts_with("GNU.sparse.")) {
      damaged(position_, "sparse members are not supported: write it without --sparse");
    }
    if (key != "path" && key != "size") return;
    if (type == 'g') {
      damaged(position_, fmt::format("a global PAX header sets '{}' for all members", key));
    }
    if (key == "path") {
      if (value.find('\0') != std::string_view::npos) damaged(position_, "a NUL in a PAX path");
      long_path_ = value;  // empty: the header's own name holds
    } else if (value.empty()) {
      pax_size_.reset();
    } else {
      pax_size_ = decimal(value);
      if (!pax_size_) damaged(position_, "the PAX size is no number of 64 bits");
    }
  };
  if (!for_each_record(source_.read(position_ + block, size), record)) {
    damaged(position_, "malformed PAX records");
  }
}

}  // namespace faro::format::tar
