// The samples that this rank sends to other nodes' ranks, round by round.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "comm/comm.hpp"
#include "exchange/arena.hpp"
#include "exchange/message.hpp"
#include "exchange/route.hpp"
#include "exchange/schedule.hpp"
#include "exchange/send_ring.hpp"
#include "exchange/windows.hpp"

namespace faro::exchange {

/// What was sent to other nodes.
struct Sent {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t largest = 0;  ///< bytes of a message
};

/// Packs and sends the messages of this rank's lanes, straight from the node's arena. A long one
/// goes in pieces: the first are on their way while the next are packed, and what is under way
/// never takes more than the ring.
class Outgoing {
 public:
  /// Keeps references to all of them. \param ring_bytes of what is under way, at least 64
  /// \param piece_bytes of a piece at most; never more than half a ring
  /// \param hide where samples go to devices' memory; else empty
  Outgoing(const manifest::Manifest& manifest, Arena& arena, comm::Communicator& comm,
           const Route& route, std::uint64_t ring_bytes, std::uint64_t piece_bytes, Hide hide);

  /// Gathers what the round sends. The windows are those of the round's plan.
  void begin(std::uint64_t number, const Round& round, const std::shared_ptr<const EpochPlan>& plan,
             Windows& windows);
  /// Packs and sends as much as may be under way; whether anything was done.
  bool pump(int tag);
  /// Lets go of what is under way, with its memory.
  void abandon();
  [[nodiscard]] bool done() const noexcept { return queue_.empty() && ring_.idle(); }
  [[nodiscard]] Sent sent() const noexcept { return {messages_, bytes_, largest_}; }
  /// Takes the first bytes of its memory from the system, ahead of need.
  void prepare(std::uint64_t bytes) { ring_.prepare(bytes); }

 private:
  struct Parcel {  // a sample for a rank of another node
    std::uint32_t to;
    order::Place place;
  };
  struct Known {  // the same, by position in its window
    std::uint64_t position;
    order::Place place;
  };
  struct Message {
    int receiver = 0;
    std::uint32_t group = 0;
    std::uint32_t part = 0;
    std::vector<Parcel> parcels;
    // Once it is begun: what it is made of, and how far that is sent.
    MessageHeader header;
    std::vector<std::uint64_t> head;
    std::vector<std::span<const std::byte>> pieces;
    std::size_t piece = 0;
    std::uint64_t left = 0;
  };
  void sort_window(const order::WindowOrder& window);
  [[nodiscard]] bool is_mine(std::uint32_t to) const;
  void start(Message& message);
  void set_apart(Message& message, std::span<const Hidden> hidden);
  [[nodiscard]] std::uint64_t next_bytes(const Message& message) const;
  bool send_some(Message& message, int tag);

  const manifest::Manifest& manifest_;
  Arena& arena_;
  comm::Communicator& comm_;
  const Route& route_;
  std::uint64_t piece_bytes_;
  Hide hide_;
  SendRing ring_;
  std::uint64_t number_ = 0;
  std::shared_ptr<const EpochPlan> plan_;
  std::map<std::uint64_t, std::vector<Known>> sorted_;  // by window, by position
  std::deque<Message> queue_;
  std::atomic<std::uint64_t> messages_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::uint64_t> largest_ = 0;
};

/// \param begin of the block, as it lies there
[[nodiscard]] StoredSample sample_of_block(const std::byte* begin, const manifest::Block& block,
                                           std::uint64_t index);
/// Brings near what sample_of_block() looks at.
void prefetch_sample(const std::byte* begin, const manifest::Block& block, std::uint64_t index);
[[nodiscard]] StoredSample sample_in_arena(const manifest::Manifest& manifest, const Arena& arena,
                                           const EpochPlan& plan, int node_rank,
                                           const order::Place& place);

}  // namespace faro::exchange
