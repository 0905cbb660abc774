// The cache in a directory, such as a node's NVMe: see CacheFiles.
#include <sys/stat.h>

#include <cstring>
#include <system_error>
#include <unordered_map>

#include "base/error.hpp"
#include "fetch/cache_directory.hpp"
#include "fetch/cache_space.hpp"

namespace faro::fetch {
namespace {

class DirectorySpace final : public CacheSpace {
 public:
  DirectorySpace(const std::string& directory, std::uint64_t limit,
                 const manifest::Manifest& manifest, const Keys& keys, comm::Communicator& node,
                 std::vector<bool>& present)
      : limit_(limit) {
    std::vector<std::byte> listing;
    comm::together(node, [&] {
      files_.emplace(directory);
      if (node.rank() != 0) return;
      const auto found = files_->mend(limit);
      const auto bytes = std::as_bytes(std::span(found));
      listing.assign(bytes.begin(), bytes.end());
    });
    listing = comm::broadcast_bytes(node, std::move(listing), 0);
    strangers_.resize(listing.size() / sizeof(CacheFiles::Found));
    if (!listing.empty()) std::memcpy(strangers_.data(), listing.data(), listing.size());
    tell_apart(manifest, keys, present);
  }

  std::optional<Place> find(const Entry& entry) const override {
    const auto path = files_->path(entry.key);
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return std::nullopt;
    return Place{"file://" + path, 0};  // whatever it is: reading it will tell
  }

  Put put(const Entry& entry, const EntryHeader& header,
          std::span<const std::byte> bytes) override {
    File file;
    std::string name;
    const auto size = sizeof(header) + bytes.size();
    switch (files_->make(entry.key, size, limit_, file, name)) {
      case CacheFiles::Room::present: return Put::present;
      case CacheFiles::Room::full: return Put::full;
      case CacheFiles::Room::made: break;
    }
    if (const int error =
            file.write(bytes, sizeof(header), std::as_bytes(std::span(&header, 1)), 0)) {
      files_->discard(name, size);
      fail(ErrorCode::io, "{}: {}", name, std::generic_category().message(error));
    }
    files_->publish(entry.key, name, size);
    return Put::stored;
  }

  void remove(const Entry& entry) override { files_->remove(entry.key); }

  bool remove_stranger() override {
    while (next_stranger_ < strangers_.size()) {
      const auto& stranger = strangers_[next_stranger_++];
      // One that was touched since is in use by another job.
      if (files_->remove(stranger.key, &stranger.touched)) return true;
    }
    return false;
  }

  void touch(const Entry& entry) override { files_->touch(entry.key); }

 private:
  /// Of what there is, which is this data set's; the rest are strangers.
  void tell_apart(const manifest::Manifest& manifest, const Keys& keys,
                  std::vector<bool>& present) {
    struct Hash {
      std::size_t operator()(const Key& key) const { return key.low; }
    };
    std::unordered_map<Key, bool, Hash> own;
    for (const auto& found : strangers_) own.emplace(found.key, false);
    present.assign(manifest.blocks.size(), false);
    for (std::uint64_t block = 0; block < present.size() && !own.empty(); ++block) {
      const auto key = keys.of(block);
      const auto found = key ? own.find(*key) : own.end();
      if (found == own.end()) continue;
      found->second = true;
      present[block] = true;
    }
    std::erase_if(strangers_, [&](const auto& found) { return own.at(found.key); });
  }

  const std::uint64_t limit_;
  std::optional<CacheFiles> files_;
  std::vector<CacheFiles::Found> strangers_;  // the oldest first
  std::size_t next_stranger_ = 0;
};

}  // namespace

std::unique_ptr<CacheSpace> make_directory_space(const std::string& directory, std::uint64_t limit,
                                                 const manifest::Manifest& manifest,
                                                 const Keys& keys, comm::Communicator& node,
                                                 std::vector<bool>& present) {
  return std::make_unique<DirectorySpace>(directory, limit, manifest, keys, node, present);
}

}  // namespace faro::fetch
