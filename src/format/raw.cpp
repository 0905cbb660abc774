// Fixed-size records after a header that every shard has.
#include "base/error.hpp"
#include "format/formats.hpp"

namespace faro::format {
namespace {

class Raw final : public Format {
 public:
  Raw(std::uint64_t header, std::uint64_t record) : header_(header), record_(record) {}
  [[nodiscard]] std::string_view name() const override { return "raw"; }

  void scan(Source& source, Ends ends, SampleSink& sink) const override {
    const std::uint64_t size = source.size();
    if (size == 0) return;
    const std::uint64_t header = ends.start ? header_ : 0;
    check(size >= header, ErrorCode::format,
          "raw, byte {}: {} bytes where the header alone has {} (--raw-header)",
          source.shard_offset(), size, header);
    const std::uint64_t over = (size - header) % record_;
    check(over == 0, ErrorCode::format,
          "raw, byte {}: {} bytes after the last whole record of {}: cut short, or --raw-header {} "
          "or --raw-record is wrong",
          source.shard_offset() + size - over, over, record_, header_);
    const std::uint64_t records = (size - header) / record_;
    for (std::uint64_t i = 0; i < records; ++i) {
      sink.sample(i == 0 ? 0 : header + i * record_);
      sink.reached(header + (i + 1) * record_);
    }
  }

  void fields(std::span<const std::byte> bytes, std::uint64_t number, bool starts_shard,
              ParsedSample& out) const override {
    out.clear();
    const std::uint64_t header = starts_shard ? header_ : 0;
    check(bytes.size() >= header && bytes.size() - header == record_, ErrorCode::format,
          "raw: sample {} has {} bytes where header and record have {} and {}", number,
          bytes.size(), header, record_);
    out.key = out.keep(std::to_string(number));
    out.fields.push_back({"data", bytes.subspan(header)});
  }

 private:
  std::uint64_t header_;
  std::uint64_t record_;
};

}  // namespace

std::shared_ptr<const Format> make_raw(std::uint64_t header, std::uint64_t record) {
  check(record != 0, ErrorCode::invalid_argument,
        "--raw-record is 0: give the bytes of a record, at least 1");
  return std::make_shared<Raw>(header, record);
}

}  // namespace faro::format
