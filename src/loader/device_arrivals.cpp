#include "loader/device_arrivals.hpp"

#include <algorithm>
#include <array>

#include "loader/device_messages.hpp"
#include "loader/remote.hpp"

namespace faro::loader {
namespace {

/// By rank: one that is on another node, as node_ranks divides them; -1 where there is none.
std::vector<int> senders_elsewhere(const Config& config, comm::Communicator& world) {
  const auto node = world.split_by_node(static_cast<int>(config.node_ranks));
  const auto nodes = map_nodes(world, *node);
  std::vector<int> senders(nodes.size(), -1);
  for (std::size_t rank = 0; rank < nodes.size(); ++rank) {
    for (std::size_t ahead = 1; ahead < nodes.size() && senders[rank] < 0; ++ahead) {
      const auto other = (rank + ahead) % nodes.size();
      if (nodes[other] != nodes[rank]) senders[rank] = static_cast<int>(other);
    }
  }
  return senders;
}

/// What senders and receivers must have in common: of what one hides the other sees nothing.
void check_same(const TensorConfig& tensors, const Config& config, comm::Communicator& world) {
  auto mine = fmt::format("{} {} {}", tensors.arrivals, config.verify, config.exchange);
  for (const auto& one : tensors.tensors) {
    mine += fmt::format("; {} {} {} {} {} {} of", one.field, static_cast<int>(one.decode),
                        one.ragged.has_value(), one.stored ? static_cast<int>(*one.stored) : -1,
                        one.type ? static_cast<int>(*one.type) : -1, fmt::join(one.shape, "x"));
    for (const auto& step : one.steps) mine += fmt::format(" {}", transform::name_of(step));
  }
  const auto first = comm::broadcast_text(world, mine, 0);
  comm::together(world, [&] {
    check(mine == first, ErrorCode::invalid_argument,
          "arrivals = device: arrivals, verify, exchange or the tensors are not the same as rank "
          "0's: give every rank the same settings");
  });
}

/// Why they come into the host's memory whatever MPI can do; empty where nothing is against it.
std::string objection(const Config& config, std::span<const transform::Program> programs) {
  if (config.verify) return "verify reads them there";
  if (config.exchange == "gathered") return "exchange = gathered: a node's ranks share them there";
  if (std::ranges::none_of(programs, [](const auto& one) { return one.reads_in_place(); })) {
    return "every field is decoded there";
  }
  return {};
}

/// How much of a field, at its start, the host needs; nothing: all.
std::optional<std::uint64_t> needed_head(const Field& field,
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

ArrivalChoice on_host(std::string_view why) {
  return {nullptr, fmt::format("in the host's memory ({})", why)};
}

}  // namespace

ArrivalChoice choose_arrivals(const TensorConfig& tensors, const Config& config,
                              std::span<const transform::Program> programs,
                              comm::Communicator& world,
                              const std::shared_ptr<cuda::Device>& device,
                              std::optional<bool> says) {
  std::array<std::uint64_t, 1> asked{tensors.arrivals == "device" ? 1U : 0U};
  world.all_reduce(asked, comm::Op::max);
  if (!device) return {};
  const auto senders = senders_elsewhere(config, world);
  if (std::ranges::find(senders, -1) != senders.end()) return {};
  if (asked[0] == 0) return on_host("arrivals = host");
  check_same(tensors, config, world);
  if (const auto why = objection(config, programs); !why.empty()) return on_host(why);

  ArrivalChoice choice;
  const auto problem = comm::problem_of(world, [&] {
    choice.claim = std::make_unique<cuda::Claim>(device->number(), cuda::Claim::By::mpi);
  });
  if (!problem.empty()) return on_host(problem);
  const auto tried = try_device_messages(
      world, says, [&] { return device; }, senders);
  if (tried.left_behind) static_cast<void>(choice.claim.release());  // MPI may still write there
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
      const auto head = needed_head({name, bytes}, programs);
      if (!head || bytes.size() - *head <= hidden.length) continue;
      hidden = {static_cast<std::uint64_t>(bytes.data() - begin) + *head, bytes.size() - *head};
    }
    return hidden;
  };
}

}  // namespace faro::loader
