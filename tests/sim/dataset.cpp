#include "dataset.hpp"

#include "../format/tar_bytes.hpp"
#include "base/crc32c.hpp"

namespace faro::sim {
namespace {

std::string content_of(std::uint64_t size, Random& random) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(i % 8 == 0 ? random.next() : std::uint64_t(bytes[i - 1]) * 7 + 3);
  }
  return bytes;
}

std::string raw_shard(std::uint64_t samples, const format::Spec& spec, Data& data, Random& random) {
  std::string bytes = content_of(spec.raw_header, random);
  for (std::uint64_t i = 0; i < samples; ++i) {
    data.content.push_back(content_of(spec.raw_record, random));
    bytes += data.content.back();
  }
  return bytes;
}

std::string tar_shard(std::uint64_t samples, std::uint64_t largest, Data& data, Random& random) {
  test::TarBytes tar;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const auto key = std::to_string(data.content.size());
    const auto size = random.chance(0.03) ? 5 * largest : random.below(largest);
    auto& content = data.content.emplace_back(content_of(size, random));
    tar.add(key + ".bin", content);
    if (random.chance(0.3)) {
      tar.add(key + ".cls", key);
      content += key;
    }
  }
  return tar.end().bytes;
}

/// Cuts a shard into blocks of about `target` bytes.
void cut(std::string_view bytes, std::uint32_t shard, std::uint64_t target, bool checked,
         const format::Format& format, manifest::Manifest& manifest) {
  std::uint64_t first = manifest.blocks.empty()
                            ? 0
                            : manifest.blocks.back().first_sample + manifest.blocks.back().count;
  manifest::Block block;
  const auto close = [&] {
    if (block.count == 0) return;
    if (checked) {
      block.flags = manifest::Block::has_crc;
      block.crc32c = crc32c(test::bytes_of(bytes.substr(block.offset, block.length)));
    }
    manifest.blocks.push_back(block);
  };
  for (const auto& extent : test::scan(format, bytes)) {
    if (block.count == 0 || block.length + extent.length > target) {
      close();
      block = {shard, 0, extent.offset, 0, first, 0, 0};
    }
    block.length += extent.length;
    ++block.count;
    ++first;
    manifest.sizes.add(extent.length);
  }
  close();
}

}  // namespace

Data make_data(Random& random) {
  Data data;
  auto& manifest = data.manifest;
  auto& spec = manifest.format;
  spec.name = random.chance(0.6) ? "raw" : "tar";
  if (spec.name == "raw") {
    spec.raw_header = random.chance(0.3) ? random.below(100) : 0;
    spec.raw_record = random.between(1, random.chance(0.1) ? 5000 : 300);
  }
  const auto format = format::make_format(spec);
  const auto shards = random.between(1, 4);
  const auto most = random.chance(0.2) ? 12 : random.between(1, 120);
  const auto target = std::uint64_t{256} << random.below(9);
  for (std::uint32_t s = 0; s < shards; ++s) {
    const auto samples = s > 0 && random.chance(0.2) ? 0 : random.between(1, most);
    auto bytes = spec.name == "raw" ? raw_shard(samples, spec, data, random)
                                    : tar_shard(samples, 900, data, random);
    auto& shard = manifest.shards.emplace_back();
    shard = {"http://sim/" + std::to_string(s), bytes.size(), "\"" + std::to_string(s) + "\""};
    if (samples > 0) cut(bytes, s, target, true, *format, manifest);
    data.objects.emplace(shard.uri, std::move(bytes));
  }
  manifest.validate();
  return data;
}

}  // namespace faro::sim
