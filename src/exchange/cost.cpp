#include "exchange/cost.hpp"

#include <algorithm>
#include <cmath>

#include "exchange/message.hpp"

namespace faro::exchange {
namespace {

/// How many of `peers` equally likely holders of a share `share` each have at least one of
/// `samples`.
double holders(double peers, double share, double samples) {
  // 1 - (1 - share)^samples, exact for small shares too.
  return share >= 1 ? peers : -peers * std::expm1(samples * std::log1p(-share));
}

}  // namespace

RoundCost round_cost(const Job& job, const Costs& costs) {
  const auto ranks = static_cast<double>(job.ranks);
  const auto node = static_cast<double>(std::min(job.ranks_per_node, job.ranks));
  const auto nodes = ranks / node;
  RoundCost cost;
  cost.samples =
      static_cast<double>(job.global_batch) / ranks * static_cast<double>(job.steps_per_round);
  cost.remote_share = 1 - node / ranks;
  cost.messages = holders(ranks - node, 1 / ranks, cost.samples);
  cost.gathered_messages = holders(nodes - 1, 1 / nodes, cost.samples * node);
  const auto remote = cost.samples * cost.remote_share;
  // Lanes are dealt over a node's ranks; a message names each of the ranks that it is for.
  const auto messages = job.gathered ? cost.gathered_messages / node : cost.messages;
  const auto named = job.gathered ? node : 1;
  cost.remote_bytes = remote * (job.sample_bytes + sizeof(std::uint64_t)) +
                      messages * (sizeof(MessageHeader) + named * sizeof(Section));

  cost.reduce_seconds = std::ceil(std::log2(ranks)) * (costs.hop + (nodes > 1 ? costs.latency : 0));
  cost.cpu_seconds = costs.round + cost.samples * costs.sample + messages * costs.message +
                     cost.remote_bytes * costs.copy;
  const auto over_link = job.link > 0 ? node / job.link : 0;  // seconds for a byte of each rank
  const auto read = job.resident ? 0 : cost.samples * job.sample_bytes;
  const auto store = job.store_link > 0 ? ranks * read / job.store_link : 0;
  cost.exchange_seconds = cost.remote_bytes * over_link;
  cost.store_seconds = std::max(read * over_link, store);
  cost.link_seconds = cost.exchange_seconds + read * over_link;
  const auto busiest = std::max({cost.cpu_seconds, cost.link_seconds, store});
  using Limit = RoundCost::Limit;
  cost.limit = busiest == cost.cpu_seconds ? Limit::exchange_thread
               : busiest == store || read * over_link > cost.exchange_seconds
                   ? Limit::store_link
                   : Limit::exchange_link;
  cost.seconds = busiest + cost.reduce_seconds;
  return cost;
}

}  // namespace faro::exchange
