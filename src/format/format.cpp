#include "format/format.hpp"

#include <iterator>

#include "base/error.hpp"
#include "format/formats.hpp"
#include "format/memory_source.hpp"

namespace faro::format {
namespace {

/// Writes the extents of a block whose number of samples is known.
class ExtentSink final : public SampleSink {
 public:
  ExtentSink(std::span<Extent> extents, std::uint64_t shard_offset)
      : extents_(extents), shard_offset_(shard_offset) {}

  void sample(std::uint64_t offset) override {
    if (found_ == extents_.size()) wrong("more");
    if (found_ > 0) close(offset);
    extents_[found_++] = {offset, 0, {}};
  }

  void outline(const Outline& outline) override { extents_[found_ - 1].outline = outline; }

  void finish(std::uint64_t size) {
    if (found_ != extents_.size()) wrong(std::to_string(found_));
    if (found_ > 0) close(size);
  }

 private:
  void close(std::uint64_t end) { extents_[found_ - 1].length = end - extents_[found_ - 1].offset; }
  [[noreturn]] void wrong(std::string_view found) const {
    fail(ErrorCode::format,
         "the block at byte {} of the shard has {} samples where the manifest says {}: index it "
         "again",
         shard_offset_, found, extents_.size());
  }

  std::span<Extent> extents_;
  std::uint64_t shard_offset_;
  std::size_t found_ = 0;
};

}  // namespace

std::string_view ParsedSample::keep(std::string text) {
  return *kept_.emplace_back(std::make_unique<std::string>(std::move(text)));
}

void ParsedSample::clear() {
  key = {};
  fields.clear();
  kept_.clear();
}

void ParsedSample::move_kept(std::vector<std::unique_ptr<std::string>>& to) {
  to.insert(to.end(), std::make_move_iterator(kept_.begin()), std::make_move_iterator(kept_.end()));
  kept_.clear();
}

void Format::outlined_fields(std::span<const std::byte> /*bytes*/, const Outline& /*outline*/,
                             ParsedSample& /*out*/) const {
  fail(ErrorCode::internal, "format {} has no outlines", name());
}

void parse(const Format& format, std::span<const std::byte> bytes, const Outline& outline,
           std::uint64_t number, bool starts_shard, ParsedSample& out) {
  if (outline.none()) {
    format.fields(bytes, number, starts_shard, out);
  } else {
    format.outlined_fields(bytes, outline, out);
  }
}

std::shared_ptr<const Format> make_format(const Spec& spec) {
  if (spec.name == "tar") return make_tar();
  if (spec.name == "raw") return make_raw(spec.raw_header, spec.raw_record);
  fail(ErrorCode::invalid_argument, "no format is called '{}': give tar or raw", spec.name);
}

Spec resolve(Spec spec, std::string_view first_shard) {
  if (spec.name != "auto") return spec;
  // A signed URL goes on after the object's name.
  if (first_shard.starts_with("http")) first_shard = first_shard.substr(0, first_shard.find('?'));
  check(first_shard.ends_with(".tar"), ErrorCode::invalid_argument,
        "the format of {} is not told by its name: give --format tar, or --format raw with "
        "--raw-record BYTES",
        first_shard);
  spec.name = "tar";
  return spec;
}

std::string listing_suffix(const Spec& spec) {
  return spec.name == "raw" ? "" : ".tar";
}

void split(const Format& format, std::span<const std::byte> block, std::uint64_t shard_offset,
           Ends ends, std::span<Extent> extents) {
  MemorySource source(block, shard_offset);
  ExtentSink sink(extents, shard_offset);
  format.scan(source, ends, sink);
  sink.finish(block.size());
}

}  // namespace faro::format
