// Who is silent: asked by a rank that has waited for too long, before it gives up.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "comm/comm.hpp"

namespace faro::exchange {

/// Rank 0 calls all ranks, hears who answers, and tells all who did that the job is over and who it
/// was. A handful of small messages a rank; until somebody asks, one look for a message in a while.
class RollCall {
 public:
  /// \param grace seconds for an answer
  RollCall(comm::Communicator& comm, double grace) : comm_(comm), grace_(grace) {}
  RollCall(const RollCall&) = delete;
  RollCall& operator=(const RollCall&) = delete;
  /// Leaves behind what a silent rank has not taken, with its memory.
  ~RollCall();

  /// This rank has waited for so long. May be said again.
  void ask(double seconds);
  [[nodiscard]] bool asked() const noexcept { return asked_.has_value(); }
  /// Takes part. The error that ends the job, once it is known: after twice the grace at the latest
  /// where this rank has asked.
  /// \param consumer_pauses whether this rank waits for its own consumer
  [[nodiscard]] std::optional<Error> poll(bool consumer_pauses);

 private:
  enum class Kind : std::uint64_t { ask, call, here, pausing, result };
  static constexpr std::size_t names = 8;  // of ranks, that fit a message
  struct Message {
    Kind kind = Kind::ask;
    std::uint64_t seconds = 0;  // that the one who asked has waited
    std::uint64_t silent = 0;   // ranks that do not answer
    std::uint64_t pausing = 0;  // ranks that wait for their consumers
    std::array<std::uint64_t, names> silent_ranks{};
    std::array<std::uint64_t, names> pausing_ranks{};
  };
  struct Sent {
    Message message;
    std::unique_ptr<comm::Operation> operation;
  };

  void send(int to, const Message& message);
  std::optional<Error> handle(int from, const Message& message, bool consumer_pauses);
  void call(std::uint64_t seconds, bool consumer_pauses);
  [[nodiscard]] Message result() const;
  [[nodiscard]] static Error error_of(const Message& result);

  comm::Communicator& comm_;
  double grace_;
  std::optional<Clock::time_point> asked_;
  std::uint64_t seconds_ = 0;                // of the message
  std::optional<Clock::time_point> called_;  // rank 0
  Clock::time_point looked_ = Clock::now();
  std::vector<Kind> heard_;  // rank 0, by rank: here or pausing; ask: nothing
  std::deque<Sent> sent_;
};

}  // namespace faro::exchange
