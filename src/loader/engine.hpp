// The stages of one rank, wired: feeder -> arena -> exchange.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "base/mailbox.hpp"
#include "base/runtime.hpp"
#include "exchange/exchange.hpp"
#include "loader/dataset.hpp"
#include "loader/device_arrivals.hpp"
#include "loader/feeder.hpp"
#include "loader/leases.hpp"
#include "loader/placing.hpp"
#include "loader/proof.hpp"
#include "placement/placement.hpp"

namespace faro::loader {

/// A clock for waiting: yields at first, sleeps longer and longer, up to a millisecond.
class Backoff {
 public:
  void reset() { turns_ = 0; }
  void pause(exchange::Progress& progress, std::uint64_t seen);

 private:
  unsigned turns_ = 0;
};

/// Construction and destruction are collective.
class Engine {
 public:
  Engine(const Config& config, const Dataset& dataset, const RunPlan& run,
         comm::Communicator& world, comm::Communicator& node, Loader::Log log,
         const std::optional<DeviceArrivals>& arrivals);
  /// Leaves the rounds together with the other ranks, within peer_timeout.
  ~Engine();

  /// The next local batch; the error of all ranks where there is none any more.
  [[nodiscard]] exchange::LocalBatch next();
  /// Ends the proof of an epoch; at the last one's end, meets all ranks' consumers. Collective.
  void close_epoch(std::uint64_t epoch);
  /// Throws the same error on all ranks if any has one. Collective, by the consumer's threads: for
  /// what these do with a batch before they go on together. Bounded by peer_timeout.
  void agree(const std::optional<Error>& mine);
  /// What has ended the run, as soon as it is known. Thread safe.
  [[nodiscard]] std::optional<Error> failure() const { return exchange_->failure(); }
  /// This rank cannot go on: all ranks get this error.
  void fail(const Error& error) {
    progress_.miss_meetings(meetings_);
    progress_.fail(error);
  }

  [[nodiscard]] const std::shared_ptr<Leases>& leases() const { return leases_; }
  [[nodiscard]] Proof* proof() { return proof_ ? &*proof_ : nullptr; }
  [[nodiscard]] exchange::Schedule& schedule() { return schedule_; }
  [[nodiscard]] fetch::Counters counters() const { return feeder_->counters(); }
  /// nullptr where there is none.
  [[nodiscard]] fetch::BlockCache* cache() const { return cache_.get(); }
  [[nodiscard]] std::uint64_t received_bytes() const { return exchange_->received_bytes(); }
  [[nodiscard]] exchange::Sent sent() const { return exchange_->sent(); }
  [[nodiscard]] Locality locality() const { return placing_.locality(); }
  /// The memory in which batches' bytes lie: all of the node's arena, what comes from other nodes.
  /// Without mirror().
  [[nodiscard]] std::vector<std::span<std::byte>> memory() const;
  /// Where what comes from other nodes lies on a device.
  [[nodiscard]] placement::Mirror mirror() const;
  /// Bytes that this process has mapped of memory that the node's ranks share.
  [[nodiscard]] std::uint64_t shared_resident() const;
  /// Bytes of it that count as this rank's: its own segment of the arena, its share of the rest.
  [[nodiscard]] std::uint64_t shared_share() const;

 private:
  void take_arrivals(const Remote& remote, comm::Communicator& world,
                     const std::optional<DeviceArrivals>& arrivals);
  void drive();
  /// Drives the exchange; what goes wrong in it ends it.
  bool step() noexcept;
  /// A meeting of all ranks' consumers: until all have come, or the error for which some will not.
  void meet(std::unique_ptr<comm::Operation> operation);
  /// All ranks' consumers have come to the end, or the error of all ranks.
  void await_end();
  void count_left_out(std::uint64_t epoch);
  /// What has come from the store is in the cache, or the cache is too slow.
  void await_cache();
  /// What the store's client has to tell, on rank 0.
  void pass_on_notices();

  const Config& config_;
  const Dataset& dataset_;
  comm::Communicator& node_;
  Loader::Log log_;
  Mailbox notices_;                             // from the feeder's thread
  std::unique_ptr<comm::Communicator> rounds_;  // the exchange's own
  std::unique_ptr<comm::Communicator> proofs_;  // the consumer's
  std::uint64_t meetings_ = 0;                  // that this one's consumer has come to
  std::vector<std::uint32_t> nodes_;            // by rank of the job: the number of its node
  exchange::Schedule schedule_;
  Placing placing_;
  exchange::Arena arena_;
  std::shared_ptr<cuda::Device> device_;  // nullptr: samples come into the host's memory
  std::unique_ptr<cuda::Memory> device_memory_;
  std::optional<exchange::Arrivals> arrivals_;  // nothing where all ranks are on one node
  exchange::Progress progress_;
  std::shared_ptr<Leases> leases_;
  std::optional<Proof> proof_;
  std::unique_ptr<exchange::Exchange> exchange_;
  std::unique_ptr<fetch::BlockCache> cache_;
  std::unique_ptr<Feeder> feeder_;
  bool threaded_;
  Thread thread_;
};

}  // namespace faro::loader
