// Ranks as threads of one process: a Communicator for tests, over any number of nodes that are made
// up, and for the simulation, which decides how messages travel and what fails.
#pragma once

#include <memory>
#include <vector>

#include "base/runtime.hpp"
#include "comm/comm.hpp"

namespace faro::comm {

/// What lies between the ranks, which are numbered as in the job. All but call() are called
/// under a communicator's lock.
class Network {
 public:
  virtual ~Network() = default;
  /// How long what a rank sends is on its way; from a rank to itself: how long a collective takes
  /// once all have come.
  virtual Clock::duration delay(int from, int to) = 0;
  /// Whether a send ends before its message is received: as MPI may do as it likes.
  virtual bool eager(std::uint64_t bytes) = 0;
  /// A rank is about to start or ask for something. What this throws, the call throws.
  virtual void call(int rank, const char* name) = 0;
  /// What a rank has received of another; it may have changed on its way.
  virtual void arrived(int from, int to, std::span<std::byte> bytes) = 0;
};

struct ThreadsOptions {
  std::vector<int> node;             ///< by rank: the number of its node
  bool concurrent = true;            ///< as MPI_THREAD_MULTIPLE
  std::shared_ptr<Network> network;  ///< nullptr: messages are there at once, and none fails
};

/// A communicator for each rank. Whoever frees shared memory waits for the others, as in MPI.
/// Collectives that ranks call in different orders, and messages that nobody can take, are
/// Error(internal).
[[nodiscard]] std::vector<std::unique_ptr<Communicator>> make_threads(ThreadsOptions options);

}  // namespace faro::comm
