#include "manifest/bytes.hpp"
#include "manifest/manifest.hpp"

namespace faro::manifest {

std::vector<std::byte> serialise(const Manifest& manifest) {
  ByteWriter out;
  out.text(manifest.format.name);
  out.value(manifest.format.raw_header);
  out.value(manifest.format.raw_record);
  out.value<std::uint64_t>(manifest.shards.size());
  for (const Shard& shard : manifest.shards) {
    out.text(shard.uri);
    out.value(shard.size);
    out.text(shard.etag);
  }
  out.array(std::span<const Block>(manifest.blocks));
  out.value(manifest.sizes.bucket);
  return out.take();
}

Manifest deserialise(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Manifest manifest;
  manifest.format.name = in.text();
  manifest.format.raw_header = in.value<std::uint64_t>();
  manifest.format.raw_record = in.value<std::uint64_t>();
  constexpr std::size_t smallest_shard = 3 * sizeof(std::uint64_t);
  manifest.shards.resize(in.count(smallest_shard));
  for (Shard& shard : manifest.shards) {
    shard.uri = in.text();
    shard.size = in.value<std::uint64_t>();
    shard.etag = in.text();
  }
  manifest.blocks = in.array<Block>();
  manifest.sizes.bucket = in.value<decltype(manifest.sizes.bucket)>();
  in.finish();
  manifest.validate();
  return manifest;
}

}  // namespace faro::manifest
