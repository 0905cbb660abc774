#pragma once

#include <archive.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include "pack/source.hpp"
#include "pack/target.hpp"

namespace faro::pack {

/// Writes one tar shard (ustar) whose bytes depend on the samples alone: no time, no owner. Errors:
/// the output's, and invalid_argument (a key or a field that a shard cannot hold).
class ShardWriter {
 public:
  /// \param path what the shard is called in messages
  ShardWriter(Output& output, std::string path);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// One sample: a member `key.name` for each field.
  void add(const SourceSample& sample);
  /// Ends the archive, and finishes the output. Returns its size in bytes.
  std::uint64_t finish();

 private:
  static la_ssize_t on_write(archive* tar, void* self, const void* bytes,
                             std::size_t size) noexcept;
  void add_member(const std::string& name, std::span<const std::byte> bytes);
  void check_written(bool written) const;

  struct FreeArchive {
    void operator()(archive* tar) const noexcept;
  };

  Output& output_;
  std::string path_;
  std::uint64_t size_ = 0;
  std::exception_ptr failure_;  // of the output: no exception may cross libarchive
  std::unique_ptr<archive, FreeArchive> tar_;
};

}  // namespace faro::pack
