// Internal to comm/: what the ranks of a communicator of threads have in common, and what each of
// them has to do with a collective call.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/runtime.hpp"
#include "comm/threads.hpp"

namespace faro::comm::threads {

using Bytes = std::vector<std::byte>;

struct Message {
  int source = 0;
  int tag = 0;
  std::span<const std::byte> bytes;  // the sender's, or `copy`
  Bytes copy;
  Clock::time_point arrives;
  bool taken = false;  // all of it
};

/// One collective call of a group's ranks: what each gives to it, and what all get.
struct Gathering {
  const char* name = nullptr;
  std::vector<std::optional<Bytes>> given;
  std::size_t missing = 0;
  std::size_t left = 0;
  Clock::time_point last;      // when the last one came
  std::shared_ptr<void> made;  // by the last one that came, for all
};

/// What the ranks of one communicator have in common.
struct Group {
  Group(std::shared_ptr<const ThreadsOptions> given, std::vector<int> members)
      : options(std::move(given)),
        ranks(std::move(members)),
        calls(ranks.size(), 0),
        inbox(ranks.size()) {}

  [[nodiscard]] Clock::duration delay(int from, int to) const {
    return options->network ? options->network->delay(job(from), job(to)) : Clock::duration{};
  }
  [[nodiscard]] int job(int rank) const { return ranks[static_cast<std::size_t>(rank)]; }

  const std::shared_ptr<const ThreadsOptions> options;
  const std::vector<int> ranks;  // of the job
  std::mutex mutex;
  Condition changed{"the other ranks of a communicator"};
  std::vector<std::uint64_t> calls;  // by rank: collectives begun
  std::map<std::uint64_t, Gathering> gatherings;
  std::vector<std::deque<std::shared_ptr<Message>>> inbox;  // by receiver, as they were sent
};

/// One rank's part in a collective. Its methods want the group's lock.
class Part {
 public:
  using Make = std::function<std::shared_ptr<void>(const Gathering&)>;

  /// \param make makes what all ranks get, from what all have given
  Part(Group& group, int rank, const char* name, Bytes mine, const Make& make = {});
  [[nodiscard]] const Gathering& all() const { return group_.gatherings.at(number_); }
  /// When what `root` gave, or all where it is -1, is here: never, as long as it has not come.
  [[nodiscard]] std::optional<Clock::time_point> due(int root);
  void await(std::unique_lock<std::mutex>& lock, int root = -1);
  void leave();

 private:
  Group& group_;
  int rank_;
  std::uint64_t number_;
  std::optional<Clock::time_point> due_;
};

}  // namespace faro::comm::threads
