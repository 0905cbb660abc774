// Interface of exchange/: rounds that turn the blocks that each rank has read into every rank's
// local batches, ahead of the consumer.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/runtime.hpp"
#include "comm/comm.hpp"
#include "exchange/agreement.hpp"
#include "exchange/arena.hpp"
#include "exchange/inbound.hpp"
#include "exchange/local_batch.hpp"
#include "exchange/outgoing.hpp"
#include "exchange/progress.hpp"
#include "exchange/roll_call.hpp"
#include "exchange/schedule.hpp"
#include "exchange/windows.hpp"
#include "store/store.hpp"

namespace faro::exchange {

struct ExchangeOptions {
  /// By rank of the job: the number of its node.
  std::vector<std::uint32_t> nodes;
  Way way = Way::direct;
  std::uint32_t parts = 1;          ///< of a node that messages are gathered for
  std::uint64_t send_bytes = 0;     ///< packed and under way at once
  std::uint64_t message_limit = 0;  ///< bytes of a piece of a message
  std::uint64_t usual_bytes = 0;    ///< that a round brings: taken ahead of need
  /// Where samples come into devices' memory (Arrivals::mirror), on all ranks or none; else empty.
  Hide hide;
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
/// the node's peers; where one is still reading, that is repeated; (3) wait for room; (4) make the
/// batches, pack and send other nodes' samples, receive own; beside that, agree on the next round;
/// (5) hand the batches over. Whatever fails before (2) fails on all ranks in the same
/// round with the same error. After the last round they agree once
/// more, when their consumers have ended: so nothing fails unheard.
class Exchange {
 public:
  /// Keeps references to all of them. `comm` is used by advance() alone.
  /// \param arrivals of this rank's group; nullptr where all ranks are on one node
  Exchange(const manifest::Manifest& manifest, Schedule& schedule, Arena& arena, Arrivals* arrivals,
           comm::Communicator& comm, Progress& progress, const ExchangeOptions& options);
  ~Exchange();

  /// Does what can be done without waiting; whether anything was done.
  bool advance();
  /// Whether there is nothing left to do: all rounds done, failed, or stopped.
  [[nodiscard]] bool finished() const;
  /// Whether what is awaited next is this rank's own (blocks, room), which notifies Progress,
  /// rather than messages, which must be asked for.
  [[nodiscard]] bool waits_for_itself() const noexcept {
    return state_ != State::status && state_ != State::messages && waiting_since_ == 0;
  }

  /// How long its thread may sleep while it waits for itself.
  [[nodiscard]] std::chrono::microseconds patience() const;

  /// The next batch, if there is one.
  [[nodiscard]] std::optional<LocalBatch> take();
  /// The error that ended the exchange on all ranks, once all batches before it are taken.
  [[nodiscard]] std::optional<Error> error() const;
  /// The same at once, whatever is left to take.
  [[nodiscard]] std::optional<Error> failure() const;
  /// The same, where for its sake some rank will not come to that meeting of the consumers (by
  /// number). To those before it all have come, or will.
  [[nodiscard]] std::optional<Error> failure(std::uint64_t meeting) const;
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
  /// Bytes of the messages that came to this rank from other nodes.
  [[nodiscard]] std::uint64_t received_bytes() const noexcept {
    return inbound_ ? inbound_->received_bytes() : 0;
  }
  [[nodiscard]] Sent sent() const noexcept { return outgoing_.sent(); }
  /// Whether it was abandoned while something may still write to the arrival buffers.
  [[nodiscard]] bool arrivals_in_danger() const noexcept { return in_danger_; }

 private:
  enum class State { blocks, status, room, messages, end, done };
  bool await_blocks();
  bool await_status();
  bool await_room();
  bool await_messages();
  bool await_end();
  void ask(Agreement::Standing mine);
  void agree(Agreement::Standing mine);
  void agree_early();
  void listen();
  void ask_early(Agreement::Standing mine);
  void hear_early();
  [[nodiscard]] std::optional<Agreement::Standing> standing(const Progress::Ready& needed) const;
  [[nodiscard]] static Error error_of(const Agreement::Verdict& verdict, const EpochPlan& plan);
  [[nodiscard]] static Progress::Ready needed(const Round& round, const EpochPlan& plan);
  bool call_roll();
  void begin_round();
  void end_round();
  void fill_slots();
  /// Where a slot's sample is.
  struct Slot {
    const manifest::Block* block;
    std::uint64_t index;     // in the block
    std::uint32_t reader;    // of the block
    const std::byte* begin;  // of the block, in the node's arena; nullptr: on another node
  };
  [[nodiscard]] Slot find(std::uint64_t position);
  [[nodiscard]] std::uint64_t step_of_run(std::uint64_t epoch, std::uint64_t step) const;
  [[nodiscard]] std::uint64_t woken_at() const;
  [[nodiscard]] bool arrivals_free();
  void finish(const std::optional<Error>& error, std::uint64_t missed_from);

  const manifest::Manifest& manifest_;
  Schedule& schedule_;
  Arena& arena_;
  comm::Communicator& comm_;
  Progress& progress_;
  ExchangeOptions options_;
  Route route_;
  Arrivals* arrivals_;

  void enter(State state);

  State state_ = State::blocks;
  Clock::time_point entered_ = Clock::now();
  std::uint64_t number_ = 0;  // of the round
  Round round_;
  std::shared_ptr<const EpochPlan> plan_;
  Windows windows_;
  Outgoing outgoing_;
  std::optional<Inbound> inbound_;
  Agreement agreement_;
  bool asked_early_ = false;                   // about the next round
  std::optional<Agreement::Verdict> verdict_;  // that is not heeded yet
  Clock::time_point heard_;                    // that another rank was busy
  bool was_full_ = false;                      // since it has waited for room
  Clock::duration room_took_{};                // the last time that there was none at first
  Progress::Ready needed_;                     // of this rank's blocks, for the round
  std::optional<Progress::Ready> needed_next_;
  RollCall roll_call_;
  std::vector<LocalBatch> batches_;  // of the round, being built
  std::vector<Slot> slots_;          // of a batch, being found

  mutable std::mutex mutex_;  // guards what the consumer sees
  std::deque<LocalBatch> ready_;
  std::optional<Error> error_;  // once all batches before it are there
  std::optional<Error> told_;   // the same, as soon as it is known
  std::uint64_t missed_from_ = Progress::all_met;
  bool finished_ = false;
  std::atomic<bool> in_danger_ = false;
  std::atomic<double> given_up_after_ = 0;
  std::atomic<bool> consumer_waits_ = false;
  std::atomic<Clock::rep> waiting_since_ = 0;  // for other ranks; 0: not at all
};

}  // namespace faro::exchange
