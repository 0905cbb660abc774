#include "cli/order_file.hpp"

#include <cerrno>
#include <cstring>
#include <iterator>

#include "base/error.hpp"

namespace faro::cli {
namespace {

/// A field, quoted where RFC 4180 asks for it.
std::string quoted(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string field = "\"";
  for (const char c : text) {
    if (c == '"') field += '"';
    field += c;
  }
  return field + '"';
}

}  // namespace

OrderFile::OrderFile(std::string file, comm::Communicator& comm)
    : file_(std::move(file)), comm_(comm) {
  comm::together(comm_, [&] {
    if (comm_.rank() != 0) return;
    out_.open(file_, std::ios::binary | std::ios::trunc);
    check(out_.good(), ErrorCode::io, "{}: cannot be written: {}", file_, std::strerror(errno));
    out_ << "epoch,step,rank,slot,sample,key,bytes,crc32c,pad\r\n";
  });
}

void OrderFile::row(const Batch& batch, std::size_t slot, std::uint64_t bytes, std::uint32_t crc) {
  const auto& sample = batch[slot];
  fmt::format_to(std::back_inserter(rows_), "{},{},{},{},{},{},{},{:08x},{}\r\n", batch.epoch(),
                 batch.step(), comm_.rank(), slot, sample.number, quoted(sample.key), bytes, crc,
                 sample.pad ? 1 : 0);
}

void OrderFile::step() {
  const auto all = comm_.gather(std::as_bytes(std::span(rows_.data(), rows_.size())), 0);
  for (const auto& part : all) {
    out_.write(reinterpret_cast<const char*>(part.data()),
               static_cast<std::streamsize>(part.size()));
  }
  rows_.clear();
}

void OrderFile::end() {
  comm::together(comm_, [&] {
    if (comm_.rank() != 0) return;
    out_.flush();
    check(out_.good(), ErrorCode::io, "{}: cannot be written whole: is the disk full?", file_);
  });
}

}  // namespace faro::cli
