#include "loader/dataset.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/error.hpp"
#include "exchange/arena.hpp"
#include "telemetry/memory.hpp"

namespace faro::loader {
namespace {

void say(const Loader::Log& log, const comm::Communicator& comm, const std::string& line) {
  if (log && comm.rank() == 0) log(line);
}

manifest::Manifest read_manifest(const std::string& file, comm::Communicator& comm) {
  manifest::Manifest manifest;
  std::vector<std::byte> bytes;
  comm::together(comm, [&] {
    if (comm.rank() == 0) bytes = manifest::serialise(manifest::read(file));
  });
  bytes = comm::broadcast_bytes(comm, std::move(bytes), 0);
  comm::together(comm, [&] { manifest = manifest::deserialise(bytes); });
  return manifest;
}

/// Whether a manifest lists the shards that DATA names. Rank 0 looks.
bool lists_the_same(const manifest::Manifest& manifest, const Config& config,
                    comm::Communicator& comm, const Loader::Log& log) {
  std::uint64_t same = 0;
  comm::together(comm, [&] {
    if (comm.rank() != 0) return;
    auto store = store::options_of(config);
    store.notice = log;
    const auto uris = store::expand(config.data, format::listing_suffix(manifest.format), store);
    const auto& shards = manifest.shards;
    same = std::equal(uris.begin(), uris.end(), shards.begin(), shards.end(),
                      [](const auto& uri, const auto& shard) { return uri == shard.uri; });
  });
  comm.broadcast(std::as_writable_bytes(std::span(&same, 1)), 0);
  return same != 0;
}

}  // namespace

std::string default_manifest(const std::string& data) {
  std::string name = std::filesystem::path(store::redacted(data)).lexically_normal().string();
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  name = name.substr(name.find_last_of('/') + 1);
  name = name.substr(0, name.find('{'));
  std::string clean;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_') clean += c;
    if (c == '.' && !clean.empty()) break;
  }
  while (!clean.empty() && (clean.back() == '-' || clean.back() == '_')) clean.pop_back();
  return (clean.empty() ? "data" : clean) + ".faro.h5";
}

Dataset open_dataset(const Config& config, comm::Communicator& comm, const Loader::Log& log) {
  const std::string file =
      config.manifest.empty() ? default_manifest(config.data) : config.manifest;
  std::uint64_t exists = 0;
  std::error_code ignored;  // a name that cannot be asked for does not exist: writing it will tell
  if (comm.rank() == 0) exists = std::filesystem::exists(file, ignored) ? 1 : 0;
  comm.broadcast(std::as_writable_bytes(std::span(&exists, 1)), 0);

  Dataset dataset;
  bool found = exists != 0;
  if (found) {
    dataset.manifest = read_manifest(file, comm);
    found = lists_the_same(dataset.manifest, config, comm, log);
    check(
        found || config.manifest.empty(), ErrorCode::changed,
        "{}: is the manifest of other shards than {} names: index again, or name another manifest",
        file, store::redacted(config.data));
    say(log, comm,
        found ? fmt::format("manifest {}", file)
              : fmt::format("manifest {} is of other shards: passed over", file));
  }
  if (!found) {
    say(log, comm, fmt::format("no manifest: indexing {} first", store::redacted(config.data)));
    dataset.manifest =
        manifest::build(config, comm, &dataset.index_cost, {.progress = {}, .log = log});
    if (!config.manifest.empty()) {
      comm::together(comm, [&] {
        if (comm.rank() == 0) manifest::write(dataset.manifest, file);
      });
      say(log, comm, fmt::format("manifest written to {}", file));
    }
  }
  dataset.format = format::make_format(dataset.manifest.format);
  return dataset;
}

Machine inspect_machine(const Config& config, comm::Communicator& comm, comm::Communicator& node) {
  Machine machine;
  machine.ranks = static_cast<std::uint32_t>(comm.size());
  std::array<std::uint64_t, 3> least{};
  const auto whole = comm.split_by_node(0);  // node_ranks may divide it
  comm::together(comm, [&] {
    const auto ranks = static_cast<std::uint64_t>(whole->size());
    least[0] = config.memory != 0 ? config.memory : telemetry::available_memory() / 2 / ranks;
    // One rank alone has its arena in private memory.
    least[1] = node.size() > 1 ? exchange::shared_space().free / ranks : UINT64_MAX;
    least[2] = ranks;
  });
  comm.all_reduce(least, comm::Op::min);
  machine.budget = least[0];
  machine.shared = least[1];
  machine.smallest_node = static_cast<std::uint32_t>(least[2]);
  auto largest = static_cast<std::uint64_t>(node.size());
  auto smallest = largest;
  comm.all_reduce(std::span(&largest, 1), comm::Op::max);
  comm.all_reduce(std::span(&smallest, 1), comm::Op::min);
  machine.largest_node = static_cast<std::uint32_t>(largest);
  machine.smallest_group = static_cast<std::uint32_t>(smallest);
  machine.own_group = static_cast<std::uint32_t>(node.size());
  return machine;
}

}  // namespace faro::loader
