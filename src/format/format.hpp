// Interface of format/: what a sample is. A format finds the samples of a shard or of a block of
// it, and the fields of a sample. All bytes are untrusted: every length is checked before it is
// used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faro/batch.hpp"

namespace faro::format {

/// Where a sample's key and fields stand in its bytes, found when it was scanned; what the words
/// mean is the format's own matter. Headers lie anywhere in memory: who has this need not look at
/// them.
struct Outline {
  std::array<std::uint64_t, 2> words{};
  /// Nothing is known: the sample's bytes tell.
  [[nodiscard]] bool none() const noexcept { return words[0] == 0; }
};

/// A run of bytes that is one sample, headers and padding included.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Outline outline{};
};

/// Bytes that a scan looks at: a whole shard behind range reads, or a block in memory.
class Source {
 public:
  virtual ~Source() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// `length` bytes at `offset`, valid until the next call. The caller has checked against size().
  virtual std::span<const std::byte> read(std::uint64_t offset, std::uint64_t length) = 0;
  /// How far the source lies within its shard, for messages.
  [[nodiscard]] virtual std::uint64_t shard_offset() const { return 0; }
};

/// Which end of its shard a source holds: a whole shard holds both.
struct Ends {
  bool start = true;
  bool finish = true;
};

/// Receives what a scan finds, in order.
class SampleSink {
 public:
  virtual ~SampleSink() = default;
  /// A sample starts at `offset` (the first one of a source at 0). Samples tile their source: each
  /// ends where the next starts, the last at size().
  virtual void sample(std::uint64_t offset) = 0;
  /// Of the sample told last; not of all samples.
  virtual void outline(const Outline& outline) { (void)outline; }
  /// All bytes below `offset` belong to the samples told so far.
  virtual void reached(std::uint64_t offset) { (void)offset; }
};

/// The key and fields of one sample. Reused from sample to sample: clear() keeps the memory.
/// Views point into the sample's bytes, or into strings owned here.
class ParsedSample {
 public:
  std::string_view key;
  std::vector<Field> fields;
  /// A stable copy of a text that does not stand in the bytes as such.
  std::string_view keep(std::string text);
  void clear();
  /// Hands over what keep() has made, so that its copies outlive the next clear().
  void move_kept(std::vector<std::unique_ptr<std::string>>& to);

 private:
  std::vector<std::unique_ptr<std::string>> kept_;
};

/// A way to lay samples into shards. Stateless and thread safe.
class Format {
 public:
  virtual ~Format() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Tells the sink every sample of the source. A source without samples tells nothing.
  /// Error(format) says what is wrong and at which byte of the shard.
  virtual void scan(Source& source, Ends ends, SampleSink& sink) const = 0;
  /// Key and fields of a sample.
  /// \param bytes one extent as found by scan
  /// \param number of the sample in the data set (the key, where the format has none)
  /// \param starts_shard whether the extent is the first of its shard
  virtual void fields(std::span<const std::byte> bytes, std::uint64_t number, bool starts_shard,
                      ParsedSample& out) const = 0;
  /// The same by the outline of a scan, which is not none().
  virtual void outlined_fields(std::span<const std::byte> bytes, const Outline& outline,
                               ParsedSample& out) const;
};

/// The key and fields of a sample, by its outline where there is one. Arguments as of
/// Format::fields().
void parse(const Format& format, std::span<const std::byte> bytes, const Outline& outline,
           std::uint64_t number, bool starts_shard, ParsedSample& out);

/// What selects a format; stored in the manifest.
struct Spec {
  std::string name = "auto";  ///< auto | tar | raw
  std::uint64_t raw_header = 0;
  std::uint64_t raw_record = 0;
};

/// The format of a spec; "auto" decides by the first shard's name. Error(invalid_argument).
[[nodiscard]] std::shared_ptr<const Format> make_format(const Spec& spec);
/// The spec with "auto" resolved by a shard's name.
[[nodiscard]] Spec resolve(Spec spec, std::string_view first_shard);
/// The suffix of shards that a directory's listing takes: ".tar", or all files for raw.
[[nodiscard]] std::string listing_suffix(const Spec& spec);

/// The extents of a block in memory. Error(format) unless there are exactly `count`.
void split(const Format& format, std::span<const std::byte> block, std::uint64_t shard_offset,
           Ends ends, std::span<Extent> extents);

}  // namespace faro::format
