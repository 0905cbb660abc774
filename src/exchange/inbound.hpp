// The samples of a round that other nodes' ranks send.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "comm/comm.hpp"
#include "exchange/arrival.hpp"
#include "exchange/local_batch.hpp"
#include "exchange/route.hpp"

namespace faro::exchange {

/// Receives the messages of this rank's lanes, and finds this rank's samples in those that it or
/// another rank of its group has received.
class Inbound {
 public:
  /// Keeps references to all of them.
  Inbound(const Route& route, Arrivals& arrivals, comm::Communicator& comm);

  /// A round begins: its buffer is free.
  void begin(std::uint64_t round);
  /// A slot that a sample of this reader fills; in slot order.
  void expect(std::uint32_t reader, SampleRef& slot);
  /// All that are expected have been told.
  void all_expected() { arrivals_.wants_told(round_); }
  /// Receives and resolves what has come; whether anything was done.
  bool pump(int tag);
  /// Whether every slot is filled, and every message that others of the group need has come.
  [[nodiscard]] bool done() const noexcept {
    return slots_.empty() && outstanding_known_ && outstanding_.empty();
  }
  /// Lets go of what is under way; whether anything was, which MPI may still write to.
  bool abandon();
  /// Bytes of the messages received.
  [[nodiscard]] std::uint64_t received_bytes() const noexcept { return received_; }

 private:
  struct Receiving {
    std::span<std::byte> bytes;  // where it lies, once its header has come
    std::uint64_t apart = 0;     // at its end, that come into the device's memory
    std::uint64_t asked = 0;     // bytes of it that are received or being received
    std::vector<std::unique_ptr<comm::Operation>> operations;
  };
  void receive(const comm::Incoming& incoming);
  void receive_piece(const comm::Incoming& incoming, Receiving& message);
  void uncover(std::span<std::byte> message) const;
  void know_outstanding();
  bool complete();
  bool resolve();
  void resolve(std::span<const std::byte> message, const std::vector<SampleRef*>& slots) const;
  [[nodiscard]] std::uint64_t lane(std::uint32_t from, std::uint32_t part) const {
    return std::uint64_t{from} * route_.parts() + part;
  }

  const Route& route_;
  Arrivals& arrivals_;
  comm::Communicator& comm_;
  std::vector<std::uint32_t> led_;  // groups from which this rank receives
  std::uint64_t round_ = 0;
  std::map<std::uint32_t, std::vector<SampleRef*>> slots_;  // by the group they come from
  // The messages that this rank receives, by the group they come from.
  std::map<std::uint32_t, Receiving> receiving_;
  std::set<std::uint32_t> came_;         // whole
  std::set<std::uint32_t> outstanding_;  // known to come, and not whole
  bool outstanding_known_ = true;
  std::atomic<std::uint64_t> received_ = 0;
};

}  // namespace faro::exchange
