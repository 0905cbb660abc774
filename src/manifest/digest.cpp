#include <xxhash.h>

#include <memory>
#include <new>

#include "base/error.hpp"
#include "manifest/manifest.hpp"

namespace faro::manifest {
namespace {

struct Free {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

class Hash {
 public:
  Hash() : state_(XXH3_createState()) {
    if (!state_) throw std::bad_alloc();
    XXH3_128bits_reset(state_.get());
  }
  void add(const void* data, std::size_t bytes) { XXH3_128bits_update(state_.get(), data, bytes); }
  void add(std::uint64_t value) { add(&value, sizeof(value)); }
  /// With its length first, so that no two lists of texts are the same bytes.
  void add(std::string_view text) {
    add(text.size());
    add(text.data(), text.size());
  }
  [[nodiscard]] std::string hex() const {
    const auto hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  std::unique_ptr<XXH3_state_t, Free> state_;
};

/// What a shard keeps when its data set is copied elsewhere.
std::string_view base_name(std::string_view uri) {
  if (uri.starts_with("http://") || uri.starts_with("https://")) {
    uri = uri.substr(0, uri.find_first_of("?#"));
  }
  return uri.substr(uri.rfind('/') + 1);  // all of it where there is no slash: npos + 1 is 0
}

}  // namespace

std::string Manifest::digest() const {
  Hash hash;
  hash.add("faro 1");
  hash.add(format.name);
  hash.add(format.raw_header);
  hash.add(format.raw_record);
  hash.add(shards.size());
  for (const Shard& shard : shards) {
    hash.add(base_name(shard.uri));
    hash.add(shard.size);
  }
  hash.add(blocks.size());
  hash.add(blocks.data(), blocks.size() * sizeof(Block));
  return hash.hex();
}

}  // namespace faro::manifest
