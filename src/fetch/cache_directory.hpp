// Internal to fetch/: the files of a cache directory, and the lock under which they come and go.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fetch/cache_entry.hpp"
#include "fetch/cache_file.hpp"

namespace faro::fetch {

/// The files of DIR/faro-cache-1:
///   lock              the bytes in use; whoever changes them, or makes or removes a file, holds an
///                     flock on it
///   ab/KEY            an entry: its header and its bytes; ab are the first digits of its key
///   ab/KEY.PID.N.part an entry being written, with room for all of it; its writer holds an flock
///                     on it, so one that can be had is what a dead writer has left
/// Nothing else is touched, nor anything beside faro-cache-1. The bytes in use are raised before a
/// file is made and lowered after it is gone: a process that is killed between leaves them too
/// high, never too low, until mend(). Files are not synced to the disk: what a power cut leaves of
/// them does not match its checksum.
class CacheFiles {
 public:
  /// Errors: access_denied, io, where the directory cannot be made, locked or written to.
  explicit CacheFiles(const std::string& directory);

  struct Found {
    Key key;
    std::uint64_t bytes = 0;   ///< size of the file
    std::int64_t touched = 0;  ///< when it was last written or of use, ns since 1970
  };
  /// Removes what dead writers have left, counts what there is, and removes the oldest until that
  /// is within the limit. What is left, the oldest first.
  [[nodiscard]] std::vector<Found> mend(std::uint64_t limit);

  enum class Room { made, present, full };
  /// A file that an entry can be written to, where there is room for it. Error(io): a full disk.
  Room make(const Key& key, std::uint64_t bytes, std::uint64_t limit, File& file,
            std::string& name);
  /// The file of make() is written: it becomes the entry.
  void publish(const Key& key, const std::string& name, std::uint64_t bytes);
  /// The file of make() goes.
  void discard(const std::string& name, std::uint64_t bytes);
  /// Removes an entry; whether there was one.
  /// \param untouched_since where given, only if it was last touched at that time
  bool remove(const Key& key, const std::int64_t* untouched_since = nullptr);
  void touch(const Key& key) const;
  [[nodiscard]] std::string path(const Key& key) const;

 private:
  class Lock;
  [[nodiscard]] std::uint64_t used() const;
  void set_used(std::uint64_t bytes) const;
  void lower_used(std::uint64_t bytes) const;
  bool remove_leftover(const std::string& name) const;

  std::string root_;
  File lock_;
  std::uint64_t next_ = 0;  // number of the next file to be written
};

}  // namespace faro::fetch
