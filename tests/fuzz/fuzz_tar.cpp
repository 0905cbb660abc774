// Any bytes as a tar shard: scanning, splitting blocks and reading fields must agree, or say no.
#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "format/format.hpp"
#include "format/memory_source.hpp"
#include "fuzz.hpp"

using namespace faro;
using Bytes = std::span<const std::byte>;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

struct Starts final : format::SampleSink {
  std::vector<std::uint64_t> offsets;
  std::uint64_t certain = 0;
  void sample(std::uint64_t offset) override {
    require(offsets.empty() ? offset == 0 : offset > offsets.back(), "samples ascend from 0");
    require(offset >= certain, "no sample starts below what was reached");
    offsets.push_back(offset);
  }
  void reached(std::uint64_t offset) override {
    require(!offsets.empty() && offset >= certain, "what is reached ascends");
    certain = offset;
  }
};

/// An outline tells what the bytes tell.
void check_outline(const format::Format& tar, Bytes sample, const format::Outline& outline) {
  if (outline.none()) return;
  format::ParsedSample parsed;
  format::ParsedSample outlined;
  tar.fields(sample, 0, false, parsed);
  tar.outlined_fields(sample, outline, outlined);
  require(parsed.key == outlined.key, "an outline's key is the sample's");
  require(std::ranges::equal(parsed.fields, outlined.fields,
                             [](const Field& a, const Field& b) {
                               return a.name == b.name && a.bytes.data() == b.bytes.data() &&
                                      a.bytes.size() == b.bytes.size();
                             }),
          "an outline's fields are the sample's");
}

void check_block(const format::Format& tar, Bytes shard, const std::vector<format::Extent>& whole,
                 std::size_t first, std::size_t last) {
  const std::uint64_t begin = whole[first].offset;
  const std::uint64_t end = whole[last - 1].offset + whole[last - 1].length;
  std::vector<format::Extent> extents(last - first);
  format::split(tar, shard.subspan(begin, end - begin), begin, {first == 0, last == whole.size()},
                extents);
  for (std::size_t i = first; i < last; ++i) {
    require(begin + extents[i - first].offset == whole[i].offset,
            "a block's samples are the shard's");
    require(extents[i - first].length == whole[i].length, "a block's lengths are the shard's");
    check_outline(tar, shard.subspan(whole[i].offset, whole[i].length), extents[i - first].outline);
  }
}

void check_fields(const format::Format& tar, Bytes sample, format::ParsedSample& parsed,
                  std::string& last_key) {
  tar.fields(sample, 0, false, parsed);
  require(!parsed.fields.empty() && !parsed.key.empty(), "a sample has a key and fields");
  require(parsed.key != last_key, "neighbours have unlike keys");
  last_key = parsed.key;
  std::set<std::string_view> names;
  for (const Field& field : parsed.fields) {
    require(names.insert(field.name).second, "a field is there once");
    const auto* begin = sample.data();
    require(field.bytes.data() >= begin &&
                field.bytes.data() + field.bytes.size() <= begin + sample.size(),
            "a field lies in its sample");
  }
}

void fix_checksum(std::uint8_t* header) {
  std::memset(header + 148, ' ', 8);
  unsigned sum = 0;
  for (int i = 0; i < 512; ++i) sum += header[i];
  for (int i = 5; i >= 0; --i, sum >>= 3U)
    header[148 + i] = static_cast<std::uint8_t>('0' + (sum & 7U));
  header[154] = 0;
}

}  // namespace

/// Bytes rarely have right checksums: most mutants get them, or the fuzzer would not pass a header.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 == 0) return size;
  if (seed % 4 != 1) size -= size % 512;
  for (std::size_t at = 0; at + 512 <= size;) {
    auto* header = data + at;
    if (std::all_of(header, header + 512, [](auto byte) { return byte == 0; })) break;
    fix_checksum(header);
    std::size_t payload = 0;
    for (int i = 124; i < 136 && header[i] >= '0' && header[i] <= '7'; ++i) {
      payload = payload * 8 + (header[i] - '0');
    }
    if (payload > size) break;
    at += 512 + (payload + 511) / 512 * 512;
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tar = format::make_format({"tar"});
  const auto shard = std::as_bytes(std::span(data, size));
  Starts starts;
  format::MemorySource source(shard);
  if (!succeeds([&] { tar->scan(source, {}, starts); }, ErrorCode::format)) {
    // What is no shard may be a block, or a sample.
    Starts block;
    static_cast<void>(succeeds(
        [&] {
          tar->scan(source, {false, false}, block);
        },
        ErrorCode::format));
    format::ParsedSample parsed;
    static_cast<void>(succeeds([&] { tar->fields(shard, 0, false, parsed); }, ErrorCode::format));
    return 0;
  }
  std::vector<format::Extent> whole;
  for (std::size_t i = 0; i < starts.offsets.size(); ++i) {
    const auto end = i + 1 < starts.offsets.size() ? starts.offsets[i + 1] : size;
    whole.push_back({starts.offsets[i], end - starts.offsets[i]});
  }
  format::ParsedSample parsed;
  std::string key;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    check_block(*tar, shard, whole, i, i + 1);
    check_block(*tar, shard, whole, 0, i + 1);
    check_block(*tar, shard, whole, i, whole.size());
    check_fields(*tar, shard.subspan(whole[i].offset, whole[i].length), parsed, key);
  }
  return 0;
}
