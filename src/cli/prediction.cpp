#include "cli/prediction.hpp"

#include "base/error.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {
namespace {

/// "25", "12.5": GB/s as bytes/s.
double parse_link(std::string_view text) {
  try {
    std::size_t used = 0;
    const double value = std::stod(std::string(text), &used);
    if (used == text.size() && value > 0 && value < 1e9) return value * 1e9;
  } catch (const std::exception&) {  // told below
  }
  fail(ErrorCode::invalid_argument, "'{}' is not a speed in GB/s", text);
}

std::string percent(double share) {
  return fmt::format("{:.3g} %", share * 100);
}

const char* name_of(exchange::RoundCost::Limit limit) {
  using Limit = exchange::RoundCost::Limit;
  switch (limit) {
    case Limit::exchange_thread: return "the exchange's thread";
    case Limit::exchange_link: return "the nodes' links, for the exchange";
    case Limit::store_link: return "the store's bytes";
  }
  return "";
}

}  // namespace

void PlannedMachine::apply(loader::Machine& machine) const {
  if (ranks > 0) {
    check(ranks <= 1U << 24, ErrorCode::invalid_argument,
          "--ranks {} is out of range: it must be at most 2^24", ranks);
    machine.ranks = static_cast<std::uint32_t>(ranks);
    machine.largest_node = machine.ranks;
    machine.smallest_node = machine.smallest_group = machine.own_group = machine.ranks;
    machine.shared = UINT64_MAX;  // another machine's
  }
  const std::uint64_t all = machine.ranks;
  check(nodes <= all, ErrorCode::invalid_argument, "--nodes {} are more than the {} ranks", nodes,
        all);
  auto node = ranks_per_node;
  if (nodes > 0 && node > 0) {
    check((all + node - 1) / node == nodes, ErrorCode::invalid_argument,
          "--nodes {} contradicts --ranks-per-node {}: {} ranks take {} nodes of so many. Give one "
          "of the two",
          nodes, node, all, (all + node - 1) / node);
  } else if (nodes > 0) {
    node = (all + nodes - 1) / nodes;
    check((all + node - 1) / node == nodes, ErrorCode::invalid_argument,
          "{} ranks do not fill {} nodes evenly: give --ranks-per-node instead", all, nodes);
  }
  if (node == 0) return;
  machine.largest_node = static_cast<std::uint32_t>(std::min(all, node));
  machine.smallest_node = machine.smallest_group = machine.own_group = machine.largest_node;
}

std::vector<config::Setting> describe(PlannedMachine& m) {
  const auto count = [](std::uint64_t& value) {
    return [&value](std::string_view text) { value = config::parse_count(text); };
  };
  const auto speed = [](double& value) {
    return [&value](std::string_view text) { value = parse_link(text); };
  };
  return {
      {"ranks", "N", "plan for that many ranks instead of this job's", count(m.ranks), "Plan"},
      {"ranks-per-node", "N", "ranks of a node (default: all on one)", count(m.ranks_per_node),
       "Plan"},
      {"nodes", "N", "the same, told by the number of nodes; predicts what a round costs",
       count(m.nodes), "Plan"},
      {"link", "GBps", "GB/s of a node's network link, one way; predicts what a round costs",
       speed(m.link), "Plan"},
      {"store-link", "GBps", "GB/s that the store gives to all nodes together", speed(m.store_link),
       "Plan"},
  };
}

Prediction::Prediction(const Plan& plan, const Config& config, const loader::Machine& machine,
                       const PlannedMachine& planned)
    : job_{plan.ranks,
           machine.largest_node,
           config.global_batch,
           plan.steps_per_round,
           static_cast<double>(plan.bytes) / static_cast<double>(plan.samples),
           plan.exchange == "gathered",
           plan.resident,
           planned.link,
           planned.store_link},
      cost_(exchange::round_cost(job_)) {}

std::string Prediction::text() const {
  const auto& c = cost_;
  const auto ranks = static_cast<double>(job_.ranks);
  const auto rate = c.samples / c.seconds;  // of a rank
  std::string text;
  const auto row = [&](const char* name, const std::string& value) {
    text += fmt::format("{:<18}{}\n", name, value);
  };
  row("predicted", fmt::format("{} ranks on nodes of {}; expectations, and another machine's "
                               "seconds: see docs/performance.md",
                               job_.ranks, job_.ranks_per_node));
  row("  a round",
      fmt::format("{:.3g} ms of {} steps ({:.3g} ms a step): {:.4g} samples a rank; the exchange's "
                  "thread {:.3g} ms, the all-reduce {:.3g} ms ({})",
                  c.seconds * 1e3, job_.steps_per_round,
                  c.seconds * 1e3 / static_cast<double>(job_.steps_per_round), c.samples,
                  c.cpu_seconds * 1e3, c.reduce_seconds * 1e3,
                  percent(c.reduce_seconds / c.seconds)));
  row("  other nodes",
      fmt::format("{} of a rank's samples, {} a round; {:.4g} messages a rank from rank to rank, "
                  "{:.4g} a node from node to node: {}",
                  percent(c.remote_share), human_bytes(c.remote_bytes), c.messages,
                  c.gathered_messages, job_.gathered ? "gathered" : "direct"));
  if (job_.link > 0) {
    row("  a node's link",
        fmt::format("{} busy: {} with the exchange, {} with the store's bytes",
                    percent(c.link_seconds / c.seconds), percent(c.exchange_seconds / c.seconds),
                    percent((c.link_seconds - c.exchange_seconds) / c.seconds)));
  }
  row("  sustained",
      fmt::format("{} samples/s and {}/s a rank, {} samples/s and {}/s in all; the limit: {}",
                  telemetry::human_count(rate), human_bytes(rate * job_.sample_bytes),
                  telemetry::human_count(rate * ranks),
                  human_bytes(rate * ranks * job_.sample_bytes), name_of(c.limit)));
  return text;
}

nlohmann::ordered_json Prediction::json() const {
  const auto& c = cost_;
  const auto ranks = static_cast<double>(job_.ranks);
  const auto rate = c.samples / c.seconds;
  return {{"ranks_per_node", job_.ranks_per_node},
          {"link_bytes_per_second", job_.link},
          {"store_bytes_per_second", job_.store_link},
          {"samples_per_round", c.samples},
          {"remote_share", c.remote_share},
          {"remote_bytes_per_round", c.remote_bytes},
          {"messages_per_round", c.messages},
          {"node_messages_per_round", c.gathered_messages},
          {"reduce_seconds", c.reduce_seconds},
          {"reduce_share", c.reduce_seconds / c.seconds},
          {"thread_seconds", c.cpu_seconds},
          {"exchange_link_seconds", c.exchange_seconds},
          {"link_seconds", c.link_seconds},
          {"store_seconds", c.store_seconds},
          {"round_seconds", c.seconds},
          {"step_seconds", c.seconds / static_cast<double>(job_.steps_per_round)},
          {"samples_per_second", rate * ranks},
          {"bytes_per_second", rate * ranks * job_.sample_bytes},
          {"rank_samples_per_second", rate},
          {"rank_bytes_per_second", rate * job_.sample_bytes},
          {"limit", name_of(c.limit)}};
}

}  // namespace faro::cli
