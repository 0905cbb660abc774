// Interface of comm/: the communicator seam. MPI behind it; no other folder calls MPI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace faro::comm {

/// A started operation. done() drives it; destroying one that is not done waits for it. One that
/// will never be done is released instead, with its memory, and its communicator left behind.
class Operation {
 public:
  virtual ~Operation() = default;
  [[nodiscard]] virtual bool done() = 0;
};

/// A message that has been matched but not received yet.
struct Incoming {
  int source = -1;
  std::uint64_t bytes = 0;
  std::shared_ptr<void> message;
};

/// Memory that the ranks of one communicator share, one segment a rank. Each rank lets go of it for
/// itself alone.
class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  [[nodiscard]] virtual std::span<std::byte> segment(int rank) = 0;
  /// A memory barrier: what was written before it is seen by ranks that are told so after it.
  virtual void sync() = 0;
};

enum class Op { sum, min, max };

/// A group of ranks. Errors of the layer below are Error(mpi) with the call's name.
/// One thread at a time may use one communicator.
class Communicator {
 public:
  virtual ~Communicator() = default;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Whether another thread may use another communicator at the same time.
  [[nodiscard]] virtual bool concurrent() const = 0;

  /// The same ranks, apart from this one's traffic. Collective.
  [[nodiscard]] virtual std::unique_ptr<Communicator> duplicate() = 0;
  /// The ranks that share memory with this one, in groups of at most `limit` (0: no limit).
  [[nodiscard]] virtual std::unique_ptr<Communicator> split_by_node(int limit) = 0;

  virtual void barrier() = 0;
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  virtual void all_reduce(std::span<std::uint64_t> values, Op op) = 0;
  /// Every rank's equally long `mine`, in rank order.
  [[nodiscard]] virtual std::vector<std::byte> all_gather(std::span<const std::byte> mine) = 0;
  /// Every rank's bytes, on `root`; empty elsewhere.
  [[nodiscard]] virtual std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine,
                                                                   int root) = 0;

  [[nodiscard]] virtual std::unique_ptr<Operation> start_all_reduce(std::span<std::uint64_t> values,
                                                                    Op op) = 0;
  /// The sums over all ranks, the same bits on all of them and in every run on the same ranks; at
  /// most max_message bytes, in memory of its own.
  [[nodiscard]] virtual std::unique_ptr<Operation> start_sum(std::span<const float> mine,
                                                             std::span<float> sums);
  /// At most max_message bytes.
  [[nodiscard]] virtual std::unique_ptr<Operation> start_send(std::span<const std::byte> bytes,
                                                              int to, int tag) = 0;
  /// A message with that tag from anyone, if one has come.
  [[nodiscard]] virtual std::optional<Incoming> probe(int tag) = 0;
  [[nodiscard]] virtual std::unique_ptr<Operation> start_receive(const Incoming& incoming,
                                                                 std::span<std::byte> into) = 0;

  /// It will not be freed: on this rank or another one something has been started on it that will
  /// not be done. Its number would go to a new communicator, and its late messages with it.
  virtual void leave_behind() noexcept {}

  /// `bytes` of this rank's own, zero at first, seen by all ranks, page aligned; 0 for none. Only
  /// on a node's communicator. Collective; Error(memory) on all ranks where there is none. Its
  /// pages come with their use.
  [[nodiscard]] virtual std::unique_ptr<SharedMemory> share(std::uint64_t bytes) = 0;

  static constexpr std::uint64_t max_message = std::uint64_t{1} << 30;
};

/// Runs `work` on every rank; if any rank throws, all throw the lowest such rank's error, after
/// every rank has ended its work. Collective. `work` must not leave collectives half done.
template <class Work>
void together(Communicator& comm, Work&& work);

/// As together(), for what the ranks can do without: the lowest such rank's error in words, on all;
/// empty where it failed on none.
template <class Work>
[[nodiscard]] std::string problem_of(Communicator& comm, Work&& work);

/// Throws the same error on all ranks if any has one. Collective.
void agree(Communicator& comm, const std::optional<Error>& mine);

/// Text of any length from root to all. Collective.
[[nodiscard]] std::string broadcast_text(Communicator& comm, const std::string& text, int root);
[[nodiscard]] std::vector<std::byte> broadcast_bytes(Communicator& comm,
                                                     std::vector<std::byte> bytes, int root);

/// The error that is being handled, as an Error of this rank (std::bad_alloc: memory).
[[nodiscard]] Error current_error(int rank);

template <class Work>
void together(Communicator& comm, Work&& work) {
  std::optional<Error> mine;
  try {
    work();
  } catch (...) {
    mine = current_error(comm.rank());
  }
  agree(comm, mine);
}

template <class Work>
std::string problem_of(Communicator& comm, Work&& work) {
  try {
    together(comm, work);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace faro::comm
