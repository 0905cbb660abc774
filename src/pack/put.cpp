#include "pack/put.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <deque>
#include <map>
#include <set>

#include "base/error.hpp"
#include "pack/names.hpp"
#include "store/upload.hpp"
#include "store/uri.hpp"

namespace faro::pack {
namespace {

struct File {
  std::string from;
  std::string to;
  store::ObjectInfo info;
  std::uint64_t part_size = 0;
  std::uint64_t first_part = 0;  // of all files' parts, which are numbered on
  std::uint64_t parts = 0;
};

// Parts that a rank begins between two looks at the others: they must not wait for each other
// often, nor learn late that one has failed.
constexpr std::uint64_t parts_a_round = 4;

/// What the owner of a file is told of a part that another rank has sent. A plain copy of its bytes
/// travels.
struct Record {
  std::uint64_t file = 0;
  std::uint64_t number = 0;  // 0: no record
  std::array<char, 112> etag{};
};
constexpr std::size_t records_a_round = 16;

Record record_of(const store::Part& part) {
  Record record{part.object, part.number, {}};
  check(part.etag.size() < record.etag.size(), ErrorCode::network,
        "the store's ETag of a part has {} characters; {} at most are understood", part.etag.size(),
        record.etag.size() - 1);
  std::memcpy(record.etag.data(), part.etag.data(), part.etag.size());
  return record;
}

void check_options(const PutOptions& options) {
  check(!options.sources.empty(), ErrorCode::invalid_argument,
        "put needs files, and where they go: FILES... s3://BUCKET/PREFIX");
  check(store::scheme_of(options.output) == store::Scheme::s3, ErrorCode::invalid_argument,
        "put copies to s3://BUCKET/PREFIX, which the last argument '{}' is not",
        store::redacted(options.output));
  check(options.output.find_first_not_of('/', 5) != std::string::npos, ErrorCode::invalid_argument,
        "'{}' names no bucket: s3://BUCKET/PREFIX", options.output);
}

/// The files, their sizes and names; refuses what stands in their place. Work of one rank.
std::vector<File> survey(const PutOptions& options, store::Uploader& uploader) {
  const auto place = options.output.substr(0, options.output.find_last_not_of('/') + 1) + '/';
  std::vector<File> files;
  std::map<std::string, std::string> origins;  // by the object's URI
  for (const auto& source : options.sources) {
    for (auto& from : store::expand(source, "", options.store)) {
      const auto to = place + base_name(from);
      const auto [other, is_new] = origins.emplace(to, from);
      check(is_new, ErrorCode::invalid_argument, "{} and {} would both become {}",
            store::redacted(other->second), store::redacted(from), store::redacted(to));
      files.push_back({std::move(from), to, {}});
    }
  }
  for (const auto& there : store::list_objects(place, options.store)) {
    const auto origin = origins.find(there);
    check(origin == origins.end() || options.force, ErrorCode::invalid_argument,
          "{} is there already; remove it, use --force or another prefix", store::redacted(there));
    check(origin == origins.end() || origin->second != there, ErrorCode::invalid_argument,
          "{} would be copied to itself", store::redacted(there));
  }
  std::vector<std::string> sources;
  for (const auto& file : files) sources.push_back(file.from);
  const auto infos = uploader.stat(sources);
  for (std::size_t i = 0; i < files.size(); ++i) files[i].info = infos[i];
  return files;
}

/// Words that end in zeros, which neither URIs nor ETags hold.
std::string joined(const std::vector<File>& files) {
  std::string text;
  for (const auto& file : files) {
    for (const auto& word : {file.from, file.to, std::to_string(file.info.size), file.info.etag}) {
      text += word;
      text += '\0';
    }
  }
  return text;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const auto end = text.find('\0');
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end, text.size() - 1) + 1);
  }
  return words;
}

std::vector<File> files_of(const std::string& text) {
  const auto words = words_of(text);
  std::vector<File> files;
  std::uint64_t parts = 0;
  for (std::size_t i = 0; i + 3 < words.size(); i += 4) {
    File file{words[i], words[i + 1], {}};
    std::from_chars(words[i + 2].data(), words[i + 2].data() + words[i + 2].size(), file.info.size);
    file.info.etag = words[i + 3];
    file.part_size = store::part_size_for(file.info.size, file.from);
    file.parts = (file.info.size + file.part_size - 1) / file.part_size;
    file.first_part = parts;
    parts += file.parts;
    files.push_back(std::move(file));
  }
  return files;
}

/// A copy that all ranks work on. File i is begun, committed and aborted by rank i % size; part p
/// of all files' parts is sent by rank p % size.
class Copy {
 public:
  Copy(std::vector<File> files, store::Uploader& uploader, comm::Communicator& comm)
      : files_(std::move(files)), uploader_(uploader), comm_(comm) {
    for (auto i = rank(); i < files_.size(); i += ranks()) finished_.emplace(i, store::Finished{});
    for (const auto& file : files_) bytes_ += file.info.size;
    if (!files_.empty()) parts_ = files_.back().first_part + files_.back().parts;
  }

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t parts() const noexcept { return parts_; }
  [[nodiscard]] const std::vector<File>& files() const noexcept { return files_; }

  /// Begins an upload for each file, known to all ranks. Collective.
  void begin() {
    std::string mine;
    comm::together(comm_, [&] {
      std::vector<std::string> uris;
      for (const auto& [i, finished] : finished_) uris.push_back(files_[i].to);
      for (const auto& upload : uploader_.begin(uris)) mine += upload.id + '\0';
    });
    std::string all;
    for (const auto& one : comm_.gather(std::as_bytes(std::span(mine)), 0)) {
      all.append(reinterpret_cast<const char*>(one.data()), one.size());
    }
    const auto ids = words_of(comm::broadcast_text(comm_, all, 0));
    uploads_.resize(files_.size());
    std::size_t next = 0;
    for (std::uint64_t owner = 0; owner < ranks(); ++owner) {
      for (auto i = owner; i < files_.size(); i += ranks()) {
        uploads_[i] = {files_[i].to, ids.at(next++)};
      }
    }
    for (auto& [i, finished] : finished_) {
      finished = {uploads_[i], std::vector<std::string>(files_[i].parts), files_[i].info.size};
    }
  }

  /// Sends all parts. Collective.
  void send(const PutProgress& progress) {
    std::uint64_t next = rank();
    std::size_t file = 0;
    std::uint64_t arrived = 0;
    std::uint64_t bytes = 0;
    std::deque<store::Part> news;
    while (arrived < parts_) {
      std::array<Record, records_a_round> mine{};
      comm::together(comm_, [&] {
        for (std::uint64_t n = 0; n < parts_a_round && next < parts_; ++n, next += ranks()) {
          while (next >= files_[file].first_part + files_[file].parts) ++file;
          copy(file, next - files_[file].first_part);
        }
        for (auto& part : uploader_.stored(next >= parts_)) news.push_back(std::move(part));
        for (std::size_t i = 0; i < mine.size() && !news.empty(); ++i) {
          mine[i] = record_of(news.front());
          news.pop_front();
        }
      });
      const auto all = comm_.all_gather(std::as_bytes(std::span(mine)));
      for (std::size_t at = 0; at < all.size(); at += sizeof(Record)) {
        Record record;
        std::memcpy(&record, all.data() + at, sizeof(record));
        if (record.number == 0) continue;
        ++arrived;
        bytes += range(files_[record.file], record.number - 1).length;
        const auto owned = finished_.find(record.file);
        if (owned != finished_.end()) owned->second.etags[record.number - 1] = record.etag.data();
      }
      if (comm_.rank() == 0 && progress) progress(bytes, bytes_);
    }
  }

  /// Looks whether the sources are still what they were, and makes the objects visible. Collective.
  void commit() {
    comm::together(comm_, [&] {
      std::vector<std::string> sources;
      for (const auto& [i, finished] : finished_) sources.push_back(files_[i].from);
      const auto infos = uploader_.stat(sources);
      std::size_t next = 0;
      for (const auto& [i, finished] : finished_) {
        const auto& now = infos[next++];
        check(now.size == files_[i].info.size && now.etag == files_[i].info.etag,
              ErrorCode::changed,
              "{} was replaced or written to while it was copied; copy it again",
              store::redacted(files_[i].from));
      }
    });
    comm::together(comm_, [&] {
      std::vector<store::Finished> objects;
      for (auto& [i, finished] : finished_) objects.push_back(std::move(finished));
      uploader_.commit(objects);
    });
  }

 private:
  [[nodiscard]] std::uint64_t rank() const { return static_cast<std::uint64_t>(comm_.rank()); }
  [[nodiscard]] std::uint64_t ranks() const { return static_cast<std::uint64_t>(comm_.size()); }

  static store::ByteRange range(const File& file, std::uint64_t part) {
    const auto offset = part * file.part_size;
    return {offset, std::min(file.part_size, file.info.size - offset)};
  }

  void copy(std::size_t number, std::uint64_t part) {
    const File& file = files_[number];
    const auto [offset, length] = range(file, part);
    uploader_.copy(uploads_[number], {number, part + 1, length, {}}, file.from, offset, file.info);
  }

  std::vector<File> files_;
  store::Uploader& uploader_;
  comm::Communicator& comm_;
  std::vector<store::Upload> uploads_;
  std::map<std::uint64_t, store::Finished> finished_;  // this rank's own files, by number
  std::uint64_t bytes_ = 0;
  std::uint64_t parts_ = 0;
};

/// What all ranks have failed with together: no part may arrive after the owner of its upload has
/// aborted it.
void break_off(const Error& error, store::Uploader& uploader, comm::Communicator& comm) {
  uploader.cancel();
  if (error.code() != ErrorCode::mpi) comm.barrier();
}

}  // namespace

PutResult put(const PutOptions& options, comm::Communicator& comm, const PutProgress& progress) {
  std::unique_ptr<store::Uploader> uploader;
  std::string found;
  comm::together(comm, [&] {
    check_options(options);
    uploader = std::make_unique<store::Uploader>(options.store, options.checkpoint);
    if (comm.rank() == 0) found = joined(survey(options, *uploader));
  });
  found = comm::broadcast_text(comm, found, 0);
  std::vector<File> files;
  comm::together(comm, [&] { files = files_of(found); });
  Copy copy(std::move(files), *uploader, comm);
  try {
    copy.begin();
    copy.send(progress);
    copy.commit();
  } catch (const Error& error) {
    break_off(error, *uploader, comm);
    warn_of_uploads(uploader->abort(), options.output);
    throw;
  }
  std::array<std::uint64_t, 2> sums{uploader->counters().requests, uploader->counters().retries};
  comm.all_reduce(sums, comm::Op::sum);
  warn_of_uploads(uploader->abort(), options.output);  // of objects without bytes, which need none
  std::vector<std::string> names;
  for (const auto& file : copy.files()) names.push_back(file.to);
  return {names.size(), copy.bytes(), copy.parts(), sums[0], sums[1], data_of(std::move(names))};
}

}  // namespace faro::pack
