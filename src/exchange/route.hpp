// Which rank sends to which, between nodes: arithmetic on the job's shape.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace faro::exchange {

/// How samples come from other nodes.
enum class Way {
  direct,    ///< a message from each reader to each rank
  gathered,  ///< a message from node to node, which the receiving node's ranks share
};

/// Who sends and who receives. Readers form groups whose samples travel together: a rank, or all
/// ranks of a node. A node that receives is divided into parts, whose samples travel together as
/// well. All that goes from a group to a part in a round is one message, on a lane of its own; the
/// lanes are dealt over the ranks of both ends, so that two ranks share one lane at most in either
/// direction. The same on all ranks.
class Route {
 public:
  /// \param nodes by rank of the job: the number of its node
  /// \param parts of a gathered node, at most the ranks of the smallest; more than one where there
  ///        are fewer nodes than ranks of one
  Route(std::vector<std::uint32_t> nodes, std::uint32_t rank, Way way, std::uint32_t parts = 1);

  /// A rank's index in this rank's node; -1 where it is elsewhere.
  [[nodiscard]] int node_rank(std::uint32_t rank) const {
    return elsewhere(rank) ? -1 : static_cast<int>(index_[rank]);
  }
  [[nodiscard]] bool elsewhere(std::uint32_t rank) const { return nodes_[rank] != nodes_[rank_]; }
  /// Whether there is more than one node.
  [[nodiscard]] bool remote() const noexcept { return several_; }
  [[nodiscard]] std::uint32_t rank() const noexcept { return rank_; }

  [[nodiscard]] std::uint32_t groups() const { return static_cast<std::uint32_t>(members_.size()); }
  [[nodiscard]] std::uint32_t group(std::uint32_t rank) const { return group_[rank]; }
  [[nodiscard]] std::uint32_t own_group() const { return group_[rank_]; }
  /// A group's ranks, ascending.
  [[nodiscard]] std::span<const std::uint32_t> members(std::uint32_t group) const {
    return members_[group];
  }
  [[nodiscard]] std::uint32_t parts() const noexcept { return parts_; }
  /// The part of its group that a rank belongs to: consecutive members.
  [[nodiscard]] std::uint32_t part(std::uint32_t rank) const;
  /// The ranks of a part, ascending; at least one.
  [[nodiscard]] std::span<const std::uint32_t> receivers(std::uint32_t group,
                                                         std::uint32_t part) const;

  /// The rank that packs and sends what goes from a group to a part of another.
  [[nodiscard]] std::uint32_t sender(std::uint32_t from, std::uint32_t to,
                                     std::uint32_t part) const;
  /// The rank that receives it.
  [[nodiscard]] std::uint32_t receiver(std::uint32_t from, std::uint32_t to,
                                       std::uint32_t part) const;
  /// The part for which this rank receives from a group; parts() where it receives nothing.
  [[nodiscard]] std::uint32_t received_part(std::uint32_t from) const;

 private:
  std::vector<std::uint32_t> nodes_;
  std::uint32_t rank_;
  std::uint32_t parts_;
  bool several_ = false;
  std::vector<std::uint32_t> index_;  // by rank: in its node
  std::vector<std::uint32_t> group_;  // by rank
  std::vector<std::vector<std::uint32_t>> members_;
};

/// What is known of a run's messages before it begins.
struct Shape {
  double sample_bytes = 0;     ///< mean
  std::uint64_t samples = 0;   ///< that a rank gets in a round
  std::uint64_t ranks = 1;     ///< of the job
  std::uint64_t per_node = 1;  ///< ranks of a node, the most
};

/// Mean bytes of samples in a message from `from` ranks to `to` ranks, of those that are not empty.
/// The samples of such a message are Poisson distributed about l = samples from to / ranks, as the
/// order is random; those of a message that is sent, about l / (1 - exp(-l)).
[[nodiscard]] double expected_message(const Shape& shape, std::uint64_t from, std::uint64_t to);

/// Messages from rank to rank that are expected to be at least so long are sent as they are.
constexpr double gather_below = 64.0 * 1024;

/// How to send, where that is left to faro.
[[nodiscard]] Way choose_way(const Shape& shape);
/// Parts of a node: as many as give every rank of it a lane, but not so many that messages become
/// smaller than gather_below.
[[nodiscard]] std::uint32_t choose_parts(const Shape& shape);

}  // namespace faro::exchange
