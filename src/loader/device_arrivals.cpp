#include "loader/device_arrivals.hpp"

#include <algorithm>
#include <array>

#include "loader/device_messages.hpp"

namespace faro::loader {
namespace {

/// By rank: one that is on another node, as node_ranks divides them; -1 where there is none.
std::vector<int> senders_elsewhere(const Config& config, comm::Communicator& world) {
  const auto node = world.split_by_node(static_cast<int>(config.node_ranks));
  std::array<std::uint64_t, 1> first{static_cast<std::uint64_t>(world.rank())};
  node->all_reduce(first, comm::Op::min);
  const auto bytes = world.all_gather(std::as_bytes(std::span(first)));
  const auto ranks = static_cast<std::size_t>(world.size());
  std::vector<std::uint64_t> nodes(ranks);
  std::ranges::copy(bytes, std::as_writable_bytes(std::span(nodes)).begin());
  std::vector<int> senders(ranks, -1);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t ahead = 1; ahead < ranks && senders[rank] < 0; ++ahead) {
      const auto other = (rank + ahead) % ranks;
      if (nodes[other] != nodes[rank]) senders[rank] = static_cast<int>(other);
    }
  }
  return senders;
}

/// Why they come into the host's memory whatever MPI can do; empty where nothing is against it.
std::string objection(const std::string& asked, const Config& config,
                      std::span<const transform::Program> programs) {
  if (asked == "host") return "arrivals = host";
  if (config.verify) return "verify reads them there";
  if (config.exchange == "gathered") return "exchange = gathered: a node's ranks share them there";
  if (std::ranges::none_of(programs, [](const auto& one) { return one.reads_in_place(); })) {
    return "every field is decoded there";
  }
  return {};
}

/// How much of a field, at its start, the host looks at; nothing: all.
std::optional<std::uint64_t> looked_at(const Field& field,
                                       std::span<const transform::Program> programs) {
  std::optional<std::uint64_t> most;
  for (const auto& program : programs) {
    if (program.field() != field.name) continue;
    const auto one = program.looked_at(field.bytes);
    if (!one) return std::nullopt;
    most = std::max(most.value_or(0), *one);
  }
  return most.value_or(0);  // no program: nobody reads it
}

}  // namespace

ArrivalChoice choose_arrivals(const std::string& asked, const Config& config,
                              std::span<const transform::Program> programs,
                              comm::Communicator& world,
                              const std::shared_ptr<cuda::Device>& device,
                              std::optional<bool> says) {
  const std::uint64_t kind = asked == "host" ? 0 : 1;
  std::array<std::uint64_t, 2> kinds{kind, ~kind};
  world.all_reduce(kinds, comm::Op::max);
  check(kinds[0] == ~kinds[1], ErrorCode::invalid_argument,
        "arrivals is not the same on all ranks: give every rank the same settings");
  if (!device) return {};
  const auto senders = senders_elsewhere(config, world);
  if (std::ranges::find(senders, -1) != senders.end()) return {};

  const auto on_host = [](std::string_view why) {
    return ArrivalChoice{nullptr, fmt::format("in the host's memory ({})", why)};
  };
  if (const auto why = objection(asked, config, programs); !why.empty()) return on_host(why);
  ArrivalChoice choice;
  const auto problem = comm::problem_of(world, [&] {
    choice.claim = std::make_unique<cuda::Claim>(device->number(), cuda::Claim::By::mpi);
  });
  if (!problem.empty()) return on_host(problem);
  const auto tried = try_device_messages(
      world, says, [&] { return device; }, senders);
  if (!tried.carried) return on_host(tried.text);
  choice.text = fmt::format("in device memory, by MPI ({})", tried.text);
  return choice;
}

exchange::Hide make_hide(const format::Format& format, std::vector<transform::Program> programs) {
  const auto parsed = std::make_shared<format::ParsedSample>();  // reused: one thread calls it
  return [&format, programs = std::move(programs), parsed](
             const exchange::StoredSample& sample, std::uint64_t number, bool starts_shard) {
    exchange::Hidden hidden;
    try {
      format::parse(format, sample.bytes, sample.outline, number, starts_shard, *parsed);
    } catch (const Error&) {  // whoever gets it says what is wrong with it
      return hidden;
    }
    const auto* const begin = sample.bytes.data();
    for (const auto& [name, bytes] : parsed->fields) {
      if (bytes.data() < begin || bytes.data() + bytes.size() > begin + sample.bytes.size()) {
        continue;  // not of the sample's own bytes
      }
      const auto head = looked_at({name, bytes}, programs);
      if (!head || bytes.size() - *head <= hidden.length) continue;
      hidden = {static_cast<std::uint64_t>(bytes.data() - begin) + *head, bytes.size() - *head};
    }
    return hidden;
  };
}

}  // namespace faro::loader
