#include "pack/pack.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <filesystem>

#include "base/error.hpp"
#include "pack/os_error.hpp"
#include "pack/shard_writer.hpp"
#include "pack/source.hpp"

namespace faro::pack {
namespace {

namespace fs = std::filesystem;

/// The job's shards by number: what each is called and what it holds.
class Plan {
 public:
  Plan(const PackOptions& options, std::uint64_t samples)
      : directory_(options.output),
        prefix_(options.prefix.empty() ? options.split : options.prefix),
        samples_(samples),
        per_shard_(options.samples_per_shard) {}

  [[nodiscard]] std::uint64_t shards() const {
    return samples_ / per_shard_ + (samples_ % per_shard_ == 0 ? 0 : 1);
  }
  [[nodiscard]] std::uint64_t first(std::uint64_t shard) const { return shard * per_shard_; }
  [[nodiscard]] std::uint64_t last(std::uint64_t shard) const {
    return first(shard) + std::min(per_shard_, samples_ - first(shard));
  }
  [[nodiscard]] std::string name(const std::string& number) const {
    return prefix_ + '-' + number + ".tar";
  }
  [[nodiscard]] fs::path path(std::uint64_t shard) const {
    return directory_ / name(padded(shard, shards()));
  }
  [[nodiscard]] std::string pattern() const {
    const std::string first = padded(0, shards());
    return (directory_ /
            name(shards() == 1 ? first : '{' + first + ".." + padded(shards() - 1, shards()) + '}'))
        .string();
  }

  /// Makes the directory; refuses shards that are there already, unless they will be replaced. One
  /// that would be left over from a larger data set is refused either way: it would be read as part
  /// of this one.
  void prepare_output(bool force) const try {
    fs::create_directories(directory_);
    for (const auto& entry : fs::directory_iterator(directory_)) {
      const std::string name = entry.path().filename().string();
      if (!is_shard(name)) continue;
      check(force, ErrorCode::invalid_argument,
            "{} is there already; remove the old shards, use --force or another output or prefix",
            entry.path().string());
      check(replaced(name), ErrorCode::invalid_argument,
            "{} would be left over from an older data set of more shards; remove it",
            entry.path().string());
    }
  } catch (const fs::filesystem_error& error) {
    fail(code_of(error.code().value()), "cannot make or read the output directory {}: {}",
         directory_.string(), error.code().message());
  }

 private:
  [[nodiscard]] bool is_shard(const std::string& name) const {
    const std::string head = prefix_ + '-';
    constexpr std::string_view tail = ".tar";
    if (!name.starts_with(head) || !name.ends_with(tail)) return false;
    if (name.size() <= head.size() + tail.size()) return false;
    return std::all_of(name.begin() + static_cast<std::ptrdiff_t>(head.size()),
                       name.end() - static_cast<std::ptrdiff_t>(tail.size()),
                       [](char c) { return c >= '0' && c <= '9'; });
  }
  // All numbers have the same width, so names compare as numbers do.
  [[nodiscard]] bool replaced(const std::string& name) const {
    const std::string last = this->name(padded(shards() - 1, shards()));
    return name.size() == last.size() && name <= last;
  }

  fs::path directory_;
  std::string prefix_;
  std::uint64_t samples_;
  std::uint64_t per_shard_;
};

void check_options(const PackOptions& options) {
  check(options.samples_per_shard > 0, ErrorCode::invalid_argument,
        "samples-per-shard is 0; 1 or more are needed");
  check(!options.output.empty(), ErrorCode::invalid_argument,
        "pack needs an output directory for the shards");
  check(options.prefix.find('/') == std::string::npos, ErrorCode::invalid_argument,
        "the prefix '{}' holds a '/'; the directory is set by the output", options.prefix);
}

/// Every rank opens the source by itself: one that sees other files than the rest would spoil it.
void check_same_source(const Source& source, const std::string& input, comm::Communicator& comm) {
  std::array<std::uint64_t, 1> least{source.count()};
  std::array<std::uint64_t, 1> most{source.count()};
  comm.all_reduce(least, comm::Op::min);
  comm.all_reduce(most, comm::Op::max);
  check(least == most, ErrorCode::invalid_argument,
        "the ranks see {} to {} samples in {}: it must be the same on all nodes", least[0], most[0],
        input);
}

void sync_directory(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int status = directory < 0 ? -1 : ::fsync(directory);
  const int error = errno;
  if (directory >= 0) ::close(directory);
  // Some network file systems have no fsync of directories; their renames are durable by
  // themselves.
  check(status == 0 || error == EINVAL || error == ENOTSUP, ErrorCode::io, "cannot sync {}: {}",
        path, text_of(error));
}

}  // namespace

PackResult pack(const PackOptions& options, comm::Communicator& comm,
                const PackProgress& progress) {
  std::unique_ptr<Source> source;
  comm::together(comm, [&] {
    check_options(options);
    source = open_source(options.source, options.input, options.split);
    check(source->count() > 0, ErrorCode::invalid_argument, "{} holds no samples", options.input);
  });
  check_same_source(*source, options.input, comm);
  const Plan plan(options, source->count());
  comm::together(comm, [&] {
    if (comm.rank() == 0) plan.prepare_output(options.force);
  });

  const auto rank = static_cast<std::uint64_t>(comm.rank());
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  std::deque<ShardWriter> written;
  PackResult result{.pattern = plan.pattern()};
  // A round is a shard on every rank: an error ends all of them after that shard.
  for (std::uint64_t round = 0; round < plan.shards(); round += ranks) {
    std::array<std::uint64_t, 4> sums{};
    comm::together(comm, [&] {
      const std::uint64_t shard = round + rank;
      if (shard >= plan.shards()) return;
      ShardWriter& writer = written.emplace_back(plan.path(shard).string());
      for (std::uint64_t i = plan.first(shard); i < plan.last(shard); ++i) {
        const SourceSample sample = source->sample(i);
        writer.add(sample);
        for (const SourceField& field : sample.fields) sums[2] += field.bytes.size();
      }
      sums[0] = plan.last(shard) - plan.first(shard);
      sums[1] = 1;
      sums[3] = writer.finish();
    });
    comm.all_reduce(sums, comm::Op::sum);
    result.samples += sums[0];
    result.shards += sums[1];
    result.payload_bytes += sums[2];
    result.shard_bytes += sums[3];
    if (comm.rank() == 0 && progress) progress(result, source->count());
  }

  comm::together(comm, [&] {
    for (ShardWriter& writer : written) writer.commit();
  });
  comm::together(comm, [&] {
    if (comm.rank() == 0) sync_directory(options.output);
  });
  return result;
}

}  // namespace faro::pack
