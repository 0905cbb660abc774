#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "pack/source.hpp"

struct archive;

namespace faro::pack {

/// Writes one tar shard (ustar) whose bytes depend on the samples alone: no time, no owner.
/// Writes to `path`.part; finish() makes it durable, commit() gives it its name. Without commit()
/// nothing is left of it. Errors name the path: io (with what to do where the disk is full),
/// access_denied, invalid_argument (a key or a field that a shard cannot hold).
class ShardWriter {
 public:
  explicit ShardWriter(std::string path);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// One sample: a member `key.name` for each field.
  void add(const SourceSample& sample);
  /// Ends the archive and waits until the disk has it. Returns its size in bytes.
  std::uint64_t finish();
  /// Renames the finished file to `path`, over whatever is there.
  void commit();

 private:
  void add_member(const std::string& name, std::span<const std::byte> bytes);
  [[noreturn]] void fail_io(int error, const char* what) const;
  void close() noexcept;

  struct FreeArchive {
    void operator()(archive* tar) const noexcept;
  };

  std::string path_;
  std::string part_;
  int file_ = -1;
  std::unique_ptr<archive, FreeArchive> tar_;
};

}  // namespace faro::pack
