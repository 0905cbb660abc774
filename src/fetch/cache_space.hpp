// Internal to fetch/: where cached blocks lie, and that they never take more than the limit.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/comm.hpp"
#include "fetch/cache_entry.hpp"

namespace faro::fetch {

/// Where an entry can be read: a file:// URI and the byte at which its header stands, followed by
/// its bytes.
struct Place {
  std::string uri;
  std::uint64_t offset = 0;
};

/// Room for blocks that the ranks of a node share. find() may be called by another thread than the
/// rest.
class CacheSpace {
 public:
  enum class Put {
    stored,
    present,  ///< it was there already
    full,     ///< there is no room for it; nothing has changed
  };
  CacheSpace() = default;
  virtual ~CacheSpace() = default;
  CacheSpace(const CacheSpace&) = delete;
  CacheSpace& operator=(const CacheSpace&) = delete;

  [[nodiscard]] virtual std::optional<Place> find(const Entry& entry) const = 0;
  /// Keeps an entry's bytes. Error(io) where they cannot be written; then nothing of it is left.
  virtual Put put(const Entry& entry, const EntryHeader& header,
                  std::span<const std::byte> bytes) = 0;
  virtual void remove(const Entry& entry) = 0;
  /// Removes something that is of no data set of this job and that nobody uses; whether there was.
  virtual bool remove_stranger() { return false; }
  /// Bytes of memory that all entries of the node take.
  [[nodiscard]] virtual std::uint64_t memory() const { return 0; }
  /// The entry has been of use.
  virtual void touch(const Entry& /*entry*/) {}
};

/// Files in a directory. Collective over the node's ranks; Error(io, access_denied) on all of them
/// where the directory cannot be used.
/// \param present is set, by block: whether it was there already
[[nodiscard]] std::unique_ptr<CacheSpace> make_directory_space(
    const std::string& directory, std::uint64_t limit, const manifest::Manifest& manifest,
    const Keys& keys, comm::Communicator& node, std::vector<bool>& present);

/// Memory of the node that ends with its processes. Collective, Error(memory) as above.
[[nodiscard]] std::unique_ptr<CacheSpace> make_memory_space(std::uint64_t limit,
                                                            const manifest::Manifest& manifest,
                                                            comm::Communicator& node);

}  // namespace faro::fetch
