// What a round of the exchange costs, as a function: from the figures of one small machine to a job
// of any size. docs/performance.md derives it and says where the constants come from.
#pragma once

#include <cstdint>

namespace faro::exchange {

/// Seconds of one core, fitted to tests/bench/rounds.py on a quiet machine of 2 cores that up to 64
/// ranks shared, within 0.67 to 1.64; see docs/performance.md.
struct Costs {
  double round = 40e-6;     ///< by itself
  double hop = 24e-6;       ///< for each doubling of the ranks: software, context switches included
  double sample = 0.11e-6;  ///< from its place in the order to the batch
  double message = 19e-6;   ///< sent and received, however long
  double copy = 0.2e-9;     ///< of a byte into a message: 5 GB/s
  /// Of the network, for each doubling: not measured here; 2 us is what MPI needs from host to host
  /// on the networks of today's clusters.
  double latency = 2e-6;
};

struct Job {
  std::uint64_t ranks = 1;
  std::uint64_t ranks_per_node = 1;
  std::uint64_t global_batch = 1;
  std::uint64_t steps_per_round = 1;
  double sample_bytes = 0;  ///< mean, as stored
  bool gathered = false;    ///< messages go from node to node; else from rank to rank
  bool resident = false;    ///< epochs after the first read nothing
  double link = 0;          ///< bytes/s of a node's link, one way; 0: no limit
  double store_link = 0;    ///< bytes/s of the whole store; 0: no limit but the nodes' links
};

/// All of it an expectation over the orders: which samples a rank gets is a uniform choice, and
/// readers hold equal shares of the data. Where ranks or batch do not divide, fractions.
struct RoundCost {
  double samples = 0;       ///< that a rank gets
  double remote_share = 0;  ///< of them, from other nodes
  double remote_bytes = 0;  ///< that a rank receives from other nodes, with headers and sizes
  /// That a rank receives, and sends, from rank to rank: one for each peer that has any.
  double messages = 0;
  double gathered_messages = 0;  ///< that a node receives, and sends, gathered from node to node
  double reduce_seconds = 0;     ///< the all-reduce of the ranks' status
  double cpu_seconds = 0;        ///< of the exchange's thread: samples, messages, copies
  double exchange_seconds = 0;   ///< in which the node's link carries its ranks' remote bytes
  double store_seconds = 0;      ///< in which link and store bring the bytes of as many samples
  double link_seconds = 0;       ///< in which the node's link carries both
  double seconds = 0;            ///< of the round: what takes longest, and the all-reduce
  enum class Limit { exchange_thread, exchange_link, store_link } limit = Limit::exchange_thread;
};

/// \param job at least one rank, rank of a node, sample of a batch and step
[[nodiscard]] RoundCost round_cost(const Job& job, const Costs& costs = {});

}  // namespace faro::exchange
