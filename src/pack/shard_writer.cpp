#include "pack/shard_writer.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/error.hpp"
#include "pack/os_error.hpp"

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

ShardWriter::ShardWriter(std::string path) : path_(std::move(path)), part_(path_ + ".part") {
  file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) fail_io(errno, "create");
  tar_.reset(archive_write_new());
  if (!tar_ || archive_write_set_format_ustar(tar_.get()) != ARCHIVE_OK ||
      archive_write_set_bytes_per_block(tar_.get(), 1 << 20) != ARCHIVE_OK ||
      archive_write_set_bytes_in_last_block(tar_.get(), 1) != ARCHIVE_OK ||
      archive_write_open_fd(tar_.get(), file_) != ARCHIVE_OK) {
    close();  // a constructor that throws has no destructor
    fail(ErrorCode::memory, "libarchive cannot begin {}", part_);
  }
}

ShardWriter::~ShardWriter() {
  close();
}

void ShardWriter::close() noexcept {
  if (tar_) archive_write_fail(tar_.get());  // frees without writing the archive's end
  tar_.reset();
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  if (!part_.empty()) ::unlink(part_.c_str());
  part_.clear();
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
  if (status == ARCHIVE_FATAL) fail_io(archive_errno(tar_.get()), "write");
  check(status == ARCHIVE_OK, ErrorCode::invalid_argument, "{} cannot hold a member '{}': {}",
        path_, name, archive_error_string(tar_.get()));
  if (!bytes.empty() && archive_write_data(tar_.get(), bytes.data(), bytes.size()) < 0) {
    fail_io(archive_errno(tar_.get()), "write");
  }
}

std::uint64_t ShardWriter::finish() {
  if (archive_write_close(tar_.get()) != ARCHIVE_OK) fail_io(archive_errno(tar_.get()), "write");
  tar_.reset();
  if (::fsync(file_) != 0) fail_io(errno, "write");
  const off_t size = ::lseek(file_, 0, SEEK_END);
  if (size < 0) fail_io(errno, "measure");
  if (::close(std::exchange(file_, -1)) != 0) fail_io(errno, "close");
  return static_cast<std::uint64_t>(size);
}

void ShardWriter::commit() {
  check(file_ < 0 && !part_.empty(), ErrorCode::internal, "{} is not finished", path_);
  if (std::rename(part_.c_str(), path_.c_str()) != 0) fail_io(errno, "rename");
  part_.clear();
}

void ShardWriter::fail_io(int error, const char* what) const {
  const bool full = error == ENOSPC || error == EDQUOT;
  fail(code_of(error), "cannot {} {}: {}{}", what, part_.empty() ? path_ : part_, text_of(error),
       full ? "; free some space or give another output directory" : "");
}

}  // namespace faro::pack
