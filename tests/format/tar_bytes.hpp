// Tar files made by hand, for what no writer writes; and what a scan finds in bytes, as plain
// values.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/format.hpp"
#include "format/memory_source.hpp"

namespace faro::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Appends members to `bytes`, member by member.
class TarBytes {
 public:
  std::string bytes;

  static void checksum(std::string& header) {
    std::memset(header.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(header.data() + 148, 8, "%06o", sum);
  }
  static std::string header(std::string_view name, std::uint64_t size, char type = '0') {
    std::string h(512, '\0');
    name.copy(h.data(), 100);
    std::snprintf(h.data() + 100, 8, "%07o", 0644U);
    if (size >= std::uint64_t{1} << 33U) {
      base256(h, size);
    } else {
      std::snprintf(h.data() + 124, 12, "%011llo", static_cast<unsigned long long>(size));
    }
    h[156] = type;
    std::memcpy(h.data() + 257, "ustar\00000", 8);
    checksum(h);
    return h;
  }
  static void base256(std::string& h, std::uint64_t size) {
    std::memset(h.data() + 124, 0, 12);
    h[124] = '\x80';
    for (int i = 0; i < 8; ++i)
      h[static_cast<std::size_t>(135 - i)] = static_cast<char>(size >> (8 * i));
  }
  TarBytes& raw(std::string_view text) {
    bytes += text;
    return *this;
  }
  TarBytes& add(std::string_view name, std::string_view data, char type = '0') {
    bytes += header(name, data.size(), type);
    bytes += data;
    bytes.append((512 - data.size() % 512) % 512, '\0');
    return *this;
  }
  static std::string record(std::string_view key, std::string_view value) {
    const std::string rest = " " + std::string(key) + "=" + std::string(value) + "\n";
    std::size_t length = rest.size() + 1;
    while (std::to_string(length).size() + rest.size() != length) ++length;
    return std::to_string(length) + rest;
  }
  TarBytes& pax(std::string_view records, char type = 'x') {
    return add("PaxHeader", records, type);
  }
  TarBytes& end() {
    bytes.append(1024, '\0');
    return *this;
  }
};

struct Starts final : format::SampleSink {
  std::vector<std::uint64_t> offsets;
  std::uint64_t certain = 0;
  bool ordered = true;
  void sample(std::uint64_t offset) override {
    ordered =
        ordered && (offsets.empty() ? offset == 0 : offset > offsets.back()) && offset >= certain;
    offsets.push_back(offset);
  }
  void reached(std::uint64_t offset) override {
    ordered = ordered && !offsets.empty() && offset >= certain && offset >= offsets.back();
    certain = offset;
  }
};

inline std::vector<format::Extent> extents_of(const std::vector<std::uint64_t>& starts,
                                              std::uint64_t size) {
  std::vector<format::Extent> extents;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    extents.push_back({starts[i], (i + 1 < starts.size() ? starts[i + 1] : size) - starts[i]});
  }
  return extents;
}

inline std::vector<format::Extent> scan(const format::Format& format, std::string_view bytes,
                                        format::Ends ends = {}, std::uint64_t shard_offset = 0) {
  format::MemorySource source(bytes_of(bytes), shard_offset);
  Starts sink;
  format.scan(source, ends, sink);
  if (!sink.ordered) throw std::logic_error("samples out of order");
  return extents_of(sink.offsets, bytes.size());
}

/// "key\nfield size\npayload..." of a sample: everything that a reader can see of it.
inline std::string describe(const format::Format& format, std::string_view sample,
                            std::uint64_t number = 0, bool starts_shard = false) {
  format::ParsedSample parsed;
  format.fields(bytes_of(sample), number, starts_shard, parsed);
  std::string text = "sample " + std::string(parsed.key) + "\n";
  for (const auto& field : parsed.fields) {
    text += "field " + std::string(field.name) + " " + std::to_string(field.bytes.size()) + "\n";
    text.append(reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size());
  }
  return text;
}

/// 1 where the sample has an outline, which then tells what its bytes tell.
inline std::size_t expect_same_by_outline(const format::Format& format, std::string_view sample,
                                          const format::Outline& outline) {
  if (outline.none()) return 0;
  format::ParsedSample parsed;
  format::ParsedSample outlined;
  format.fields(bytes_of(sample), 0, false, parsed);
  format.outlined_fields(bytes_of(sample), outline, outlined);
  EXPECT_EQ(parsed.key, outlined.key);
  EXPECT_EQ(parsed.fields.size(), outlined.fields.size());
  for (std::size_t i = 0; i < std::min(parsed.fields.size(), outlined.fields.size()); ++i) {
    EXPECT_EQ(parsed.fields[i].name, outlined.fields[i].name);
    EXPECT_EQ(parsed.fields[i].bytes.data(), outlined.fields[i].bytes.data());
    EXPECT_EQ(parsed.fields[i].bytes.size(), outlined.fields[i].bytes.size());
  }
  return 1;
}

inline std::string describe_all(const format::Format& format, std::string_view bytes) {
  std::string text;
  std::uint64_t number = 0;
  for (const auto& e : scan(format, bytes)) {
    text += describe(format, bytes.substr(e.offset, e.length), number, number == 0);
    ++number;
  }
  return text;
}

}  // namespace faro::test
