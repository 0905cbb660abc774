// The samples that this rank has read and other nodes' ranks are to get, round by round.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "comm/comm.hpp"
#include "exchange/arena.hpp"
#include "exchange/schedule.hpp"
#include "exchange/windows.hpp"

namespace faro::exchange {

/// What every message between nodes starts with; the samples' sizes (8 bytes each) and their bytes
/// follow, in slot order. Longer ones than the limit are cut into several, in order.
struct MessageHeader {
  std::uint64_t round = 0;
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;  ///< of the whole message, header included
};

/// Packs and sends one message for each peer of another node and round.
class Outgoing {
 public:
  struct Settings {
    int rank = 0;
    int own_node_rank = 0;
    std::vector<int> node_rank;  ///< by rank: -1 where it is on another node
    std::uint64_t send_bytes = 0;
    std::uint64_t message_limit = 0;
  };
  Outgoing(const manifest::Manifest& manifest, Arena& arena, comm::Communicator& comm,
           Settings settings);

  /// Gathers what the round sends. The windows are those of the round's plan.
  void begin(std::uint64_t number, const Round& round, const std::shared_ptr<const EpochPlan>& plan,
             Windows& windows);
  /// Packs and sends as much as may be under way; whether anything was done.
  bool pump(int tag);
  /// Lets go of what is under way, with its memory.
  void abandon();
  [[nodiscard]] bool done() const noexcept { return queue_.empty() && under_way_.empty(); }

 private:
  struct Own {  // a sample of this rank's blocks that another node gets
    std::uint64_t position;
    std::uint64_t turn;
    std::uint64_t index;
  };
  struct Message {
    int to = 0;
    std::vector<order::Place> samples;
  };
  struct Sent {
    std::vector<std::byte> bytes;
    std::vector<std::unique_ptr<comm::Operation>> operations;
  };
  void sort_window(const order::WindowOrder& window);
  [[nodiscard]] bool elsewhere(std::uint32_t rank) const { return settings_.node_rank[rank] < 0; }
  [[nodiscard]] std::span<const std::byte> sample(const order::Place& place) const;
  void send(const Message& message, int tag);

  const manifest::Manifest& manifest_;
  Arena& arena_;
  comm::Communicator& comm_;
  Settings settings_;
  bool remote_;  // whether any rank is on another node
  std::uint64_t number_ = 0;
  std::shared_ptr<const EpochPlan> plan_;
  std::map<std::uint64_t, std::vector<Own>> sorted_;  // by window, by position
  std::deque<Message> queue_;
  std::deque<Sent> under_way_;
  std::uint64_t bytes_under_way_ = 0;
};

/// A sample in the arena.
[[nodiscard]] std::span<const std::byte> sample_in_arena(const manifest::Manifest& manifest,
                                                         const Arena& arena, const EpochPlan& plan,
                                                         int node_rank, const order::Place& place);

}  // namespace faro::exchange
