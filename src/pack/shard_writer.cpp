#include "pack/shard_writer.hpp"

#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.hpp"

namespace faro::pack {
namespace {

struct FreeEntry {
  void operator()(archive_entry* entry) const noexcept { archive_entry_free(entry); }
};

// WebDataset cuts a member's name at the first dot of its base name and lower-cases the rest.
bool valid_key(const std::string& key) {
  return !key.empty() && key.front() != '/' && key.back() != '/' &&
         key.find('.') == std::string::npos && key.find('\0') == std::string::npos;
}

bool valid_field(const std::string& name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace

void ShardWriter::FreeArchive::operator()(archive* tar) const noexcept {
  archive_write_free(tar);
}

ShardWriter::ShardWriter(Output& output, std::string path)
    : output_(output), path_(std::move(path)), tar_(archive_write_new()) {
  check(tar_ && archive_write_set_format_ustar(tar_.get()) == ARCHIVE_OK &&
            archive_write_set_bytes_per_block(tar_.get(), 1 << 20) == ARCHIVE_OK &&
            archive_write_set_bytes_in_last_block(tar_.get(), 1) == ARCHIVE_OK &&
            archive_write_open(tar_.get(), this, nullptr, &ShardWriter::on_write, nullptr) ==
                ARCHIVE_OK,
        ErrorCode::memory, "libarchive cannot begin {}", path_);
}

ShardWriter::~ShardWriter() {
  if (tar_) archive_write_fail(tar_.get());  // frees without writing the archive's end
}

la_ssize_t ShardWriter::on_write(archive* tar, void* self, const void* bytes,
                                 std::size_t size) noexcept {
  auto& writer = *static_cast<ShardWriter*>(self);
  try {
    writer.output_.write({static_cast<const std::byte*>(bytes), size});
    writer.size_ += size;
    return static_cast<la_ssize_t>(size);
  } catch (...) {
    writer.failure_ = std::current_exception();
    archive_set_error(tar, EIO, "the output failed");
    return -1;
  }
}

void ShardWriter::check_written(bool written) const {
  if (failure_) std::rethrow_exception(failure_);
  check(written, ErrorCode::io, "cannot write {}: {}", path_, archive_error_string(tar_.get()));
}

void ShardWriter::add(const SourceSample& sample) {
  check(valid_key(sample.key), ErrorCode::invalid_argument,
        "a sample of a tar shard cannot have the key '{}': it must be a path without dots",
        sample.key);
  for (const SourceField& field : sample.fields) {
    check(valid_field(field.name), ErrorCode::invalid_argument,
          "sample {}: a field of a tar shard cannot be named '{}': use a-z, 0-9, '.', '_', '-'",
          sample.key, field.name);
    add_member(sample.key + '.' + field.name, field.bytes);
  }
}

void ShardWriter::add_member(const std::string& name, std::span<const std::byte> bytes) {
  const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
  check(entry != nullptr, ErrorCode::memory, "out of memory in {}", path_);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  archive_entry_set_uid(entry.get(), 0);
  archive_entry_set_gid(entry.get(), 0);
  archive_entry_set_size(entry.get(), narrow<la_int64_t>(bytes.size()));

  const int status = archive_write_header(tar_.get(), entry.get());
  check_written(status != ARCHIVE_FATAL);
  check(status == ARCHIVE_OK, ErrorCode::invalid_argument, "{} cannot hold a member '{}': {}",
        path_, name, archive_error_string(tar_.get()));
  if (bytes.empty()) return;
  check_written(archive_write_data(tar_.get(), bytes.data(), bytes.size()) >= 0);
}

std::uint64_t ShardWriter::finish() {
  check_written(archive_write_close(tar_.get()) == ARCHIVE_OK);
  tar_.reset();
  output_.finish();
  return size_;
}

}  // namespace faro::pack
