#include "pack/pack.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "pack/shard_writer.hpp"
#include "pack/source.hpp"

namespace faro::pack {
namespace {

/// The job's shards by number: what each is called and what it holds.
class Plan {
 public:
  Plan(const PackOptions& options, std::uint64_t samples)
      : prefix_(options.prefix.empty() ? options.split : options.prefix),
        samples_(samples),
        per_shard_(options.samples_per_shard) {}

  [[nodiscard]] std::uint64_t shards() const {
    return samples_ / per_shard_ + (samples_ % per_shard_ == 0 ? 0 : 1);
  }
  [[nodiscard]] std::uint64_t first(std::uint64_t shard) const { return shard * per_shard_; }
  [[nodiscard]] std::uint64_t last(std::uint64_t shard) const {
    return first(shard) + std::min(per_shard_, samples_ - first(shard));
  }
  [[nodiscard]] std::string name(std::uint64_t shard) const {
    return name(padded(shard, shards()));
  }
  /// All names in one.
  [[nodiscard]] std::string pattern() const {
    const std::string first = padded(0, shards());
    return name(shards() == 1 ? first : '{' + first + ".." + padded(shards() - 1, shards()) + '}');
  }

  /// Refuses shards that are there already, unless they will be replaced. One that would be left
  /// over from a larger data set is refused either way: it would be read as part of this one.
  void check_free(Target& target, bool force) const {
    for (const auto& name : target.names(prefix_ + '-')) {
      if (!is_shard(name)) continue;
      check(force, ErrorCode::invalid_argument,
            "{} is there already; remove the old shards, use --force or another output or prefix",
            target.path(name));
      check(replaced(name), ErrorCode::invalid_argument,
            "{} would be left over from an older data set of more shards; remove it",
            target.path(name));
    }
  }

 private:
  [[nodiscard]] std::string name(const std::string& number) const {
    return prefix_ + '-' + number + ".tar";
  }
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
    const std::string last = this->name(shards() - 1);
    return name.size() == last.size() && name <= last;
  }

  std::string prefix_;
  std::uint64_t samples_;
  std::uint64_t per_shard_;
};

void check_options(const PackOptions& options) {
  check(options.samples_per_shard > 0, ErrorCode::invalid_argument,
        "samples-per-shard is 0; 1 or more are needed");
  check(!options.output.empty(), ErrorCode::invalid_argument,
        "pack needs an output for the shards: a directory or s3://BUCKET/PREFIX");
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

}  // namespace

PackResult pack(const PackOptions& options, comm::Communicator& comm,
                const PackProgress& progress) {
  std::unique_ptr<Source> source;
  std::unique_ptr<Target> target;
  comm::together(comm, [&] {
    check_options(options);
    target = open_target(options.output, options.store, options.checkpoint);
    source = open_source(options.source, options.input, options.split);
    check(source->count() > 0, ErrorCode::invalid_argument, "{} holds no samples", options.input);
  });
  check_same_source(*source, options.input, comm);
  const Plan plan(options, source->count());
  comm::together(comm, [&] {
    if (comm.rank() == 0) plan.check_free(*target, options.force);
  });

  const auto rank = static_cast<std::uint64_t>(comm.rank());
  const auto ranks = static_cast<std::uint64_t>(comm.size());
  PackResult result{.pattern = target->path(plan.pattern())};
  // A round is a shard on every rank: an error ends all of them after that shard.
  for (std::uint64_t round = 0; round < plan.shards(); round += ranks) {
    std::array<std::uint64_t, 4> sums{};
    comm::together(comm, [&] {
      const std::uint64_t shard = round + rank;
      if (shard >= plan.shards()) return;
      const auto output = target->create(plan.name(shard));
      ShardWriter writer(*output, target->path(plan.name(shard)));
      for (std::uint64_t i = plan.first(shard); i < plan.last(shard); ++i) {
        if (options.checkpoint) options.checkpoint();
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

  comm::together(comm, [&] { target->flush(); });
  comm::together(comm, [&] { target->commit(); });
  return result;
}

}  // namespace faro::pack
