// Interface of exchange/: rounds that turn the blocks that each rank has read into every rank's
// local batches, ahead of the consumer.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/runtime.hpp"
#include "comm/comm.hpp"
#include "exchange/agreement.hpp"
#include "exchange/arena.hpp"
#include "exchange/arrival.hpp"
#include "exchange/outgoing.hpp"
#include "exchange/progress.hpp"
#include "exchange/roll_call.hpp"
#include "exchange/schedule.hpp"
#include "exchange/windows.hpp"
#include "store/store.hpp"

namespace faro::exchange {

/// Where a sample of a batch lies: in the node's arena, or in the round's arrival buffer.
struct SampleRef {
  std::span<const std::byte> bytes;
  std::uint64_t number = 0;  ///< in the data set
  bool pad = false;
  bool starts_shard = false;
};

/// A rank's slice of one step.
struct LocalBatch {
  std::uint64_t epoch = 0;  ///< index in the run
  std::uint64_t step = 0;   ///< in the epoch
  std::uint64_t first_slot = 0;
  std::vector<SampleRef> samples;    ///< in slot order
  std::shared_ptr<Arrival> arrival;  ///< keeps alive what came from other nodes
};

struct ExchangeOptions {
  /// By rank of the job: its rank in this rank's arena, or -1 where it is on another node.
  std::vector<int> node_rank;
  std::size_t arrivals = 0;         ///< arrival buffers; 0 where all ranks are on one node
  std::uint64_t arrival_bytes = 0;  ///< of each
  std::uint64_t send_bytes = 0;     ///< packed messages under way at once
  std::uint64_t message_limit = comm::Communicator::max_message;
  /// Seconds after which a rank whose blocks are not there yet tells the others that it is alive.
  double heartbeat = 1;
  /// Seconds that a rank has to answer when it is asked whether it is still there.
  double grace = 2;
  /// What rounds carry from rank to rank, of their store; nullptr: nothing.
  std::shared_ptr<store::Pressure> pressure;
};

/// The exchange of one rank, driven by one thread: advance() again and again. take() and
/// release() are the consumer's.
///
/// A round: (1) wait until this rank's blocks of the round's windows are ready, or it has failed;
/// (2) agree with all ranks: when all are ready, every block that the round needs may be read by
/// the node's peers; where one is still reading, that is repeated; (3) wait for room; (4) pack and
/// send other nodes' samples, one message a peer, receive own; (5) hand the batches over. Whatever
/// fails before (2) fails on all ranks in the same round with the same error. After the last round
/// they agree once more, when their consumers have ended: so nothing fails unheard.
class Exchange {
 public:
  /// Keeps references to all of them. `comm` is used by advance() alone.
  Exchange(const manifest::Manifest& manifest, Schedule& schedule, Arena& arena,
           comm::Communicator& comm, Progress& progress, const ExchangeOptions& options);
  ~Exchange();

  /// Does what can be done without waiting; whether anything was done.
  bool advance();
  /// Whether there is nothing left to do: all rounds done, failed, or stopped.
  [[nodiscard]] bool finished() const;
  /// Whether what is awaited next is this rank's own (blocks, room), which notifies Progress,
  /// rather than messages, which must be asked for.
  [[nodiscard]] bool waits_for_itself() const noexcept {
    return state_ != State::status && state_ != State::messages;
  }

  /// The next batch, if there is one.
  [[nodiscard]] std::optional<LocalBatch> take();
  /// The error that ended the exchange on all ranks, once all batches before it are taken.
  [[nodiscard]] std::optional<Error> error() const;
  /// The same at once, whatever is left to take.
  [[nodiscard]] std::optional<Error> failure() const;
  /// Ends the exchange of this rank alone; what is under way is abandoned. For failures of the
  /// layer below, which no round can carry.
  void abandon(const Error& error);
  /// Seconds for which only other ranks could have brought it on; 0 while this rank itself is
  /// awaited.
  [[nodiscard]] double silence() const;
  /// It has lasted too long: ends the exchange, a little later and on all ranks that still answer,
  /// with an Error(peer) that says who does not.
  void give_up(double seconds) { given_up_after_ = seconds; }
  /// Whether the consumer waits for something: else it is who is awaited.
  void set_consumer_waits(bool waits) { consumer_waits_ = waits; }
  /// Bytes that came from other nodes.
  [[nodiscard]] std::uint64_t received_bytes() const noexcept { return received_; }

 private:
  enum class State { blocks, status, room, messages, end, done };
  struct Awaited {
    std::vector<SampleRef*> slots;  // of batches_, in slot order
    std::span<std::byte> message;   // where it lies, once its header has come
    std::uint64_t asked = 0;        // bytes of it that are received or being received
    std::vector<std::unique_ptr<comm::Operation>> operations;
  };

  bool await_blocks();
  bool await_status();
  bool await_room();
  bool await_messages();
  bool await_end();
  void agree(Agreement::Standing mine);
  bool call_roll();
  void begin_round();
  void end_round();
  void fill_slots();
  void prefetch_extent(const order::Place& place) const;
  void receive(const comm::Incoming& incoming);
  void resolve(const Awaited& peer);
  std::span<std::byte> arrival_room(std::uint64_t bytes);
  void finish(const std::optional<Error>& error);

  const manifest::Manifest& manifest_;
  Schedule& schedule_;
  Arena& arena_;
  comm::Communicator& comm_;
  Progress& progress_;
  ExchangeOptions options_;
  ArrivalPool pool_;

  void enter(State state);

  State state_ = State::blocks;
  Clock::time_point entered_ = Clock::now();
  std::uint64_t number_ = 0;  // of the round
  Round round_;
  std::shared_ptr<const EpochPlan> plan_;
  Windows windows_;
  Outgoing outgoing_;
  Agreement agreement_;
  RollCall roll_call_;
  std::shared_ptr<Arrival> arrival_;
  std::vector<LocalBatch> batches_;   // of the round, being built
  std::vector<order::Place> places_;  // of a batch, being found
  std::map<int, Awaited> awaited_;    // by rank: the peers that send to this one in the round

  mutable std::mutex mutex_;  // guards what the consumer sees
  std::deque<LocalBatch> ready_;
  std::optional<Error> error_;
  bool finished_ = false;
  std::atomic<std::uint64_t> received_ = 0;
  std::atomic<double> given_up_after_ = 0;
  std::atomic<bool> consumer_waits_ = false;
  std::atomic<Clock::rep> waiting_since_ = 0;  // for other ranks; 0: not at all
};

}  // namespace faro::exchange
