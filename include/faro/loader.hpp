/// \file
/// The loader: every rank's local batches of a globally shuffled data set, epoch after epoch.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "faro/batch.hpp"
#include "faro/config.hpp"
#include "faro/error.hpp"
#include "faro/locality.hpp"

namespace faro {

/// What a run will do, computed before the first read of its data; the same on all ranks. Bytes are
/// those of the shards' blocks: all bytes of all shards that hold samples.
struct Plan {
  std::uint64_t ranks = 0;
  std::uint64_t shards = 0;
  std::uint64_t blocks = 0;
  std::uint64_t blocks_without_checksum = 0;
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;
  std::uint64_t window_bytes = 0;  ///< as resolved: give it as window to get this order again
  bool resident = false;           ///< one window, kept: the store is read once over all epochs
  std::uint64_t windows = 0;       ///< of the first epoch
  std::uint64_t steps = 0;         ///< of an epoch
  std::uint64_t samples_per_epoch = 0;  ///< delivered, without pads
  std::uint64_t pads_per_epoch = 0;
  /// To the store, all ranks, an epoch that reads it; at least, as ranges are shorter where that
  /// keeps more of them in flight.
  std::uint64_t epoch_requests = 0;
  std::uint64_t store_bytes = 0;   ///< over all epochs; less what a cache has of it
  std::uint64_t budget_bytes = 0;  ///< of a rank
  /// Of it, what the node's shared memory has for a rank's arena; all ones where it sets no bound.
  std::uint64_t shared_bytes = 0;
  std::uint64_t planned_peak_bytes = 0;     ///< of a rank: the sum of the following
  std::uint64_t arena_bytes = 0;            ///< own share of the node's arena
  std::uint64_t arrival_bytes = 0;          ///< buffers for other nodes' samples, both ways
  std::uint64_t shared_peak_bytes = 0;      ///< of all that, in the node's shared memory
  std::uint64_t table_bytes = 0;            ///< manifest, order and descriptors
  std::uint64_t request_bytes = 0;          ///< buffers of the requests in flight
  std::uint64_t cache_bytes = 0;            ///< own share of the node's cache, if that is memory
  std::uint64_t smallest_budget_bytes = 0;  ///< with the smallest window
  std::uint64_t index_bytes = 0;            ///< read from the store by indexing, all ranks
  std::uint64_t index_requests = 0;
  std::uint64_t steps_per_round = 0;  ///< that are exchanged together
  /// How samples come from other nodes: "direct" from rank to rank, "gathered" from node to node;
  /// "shared" where all ranks are on one node, which needs no messages.
  std::string exchange = "shared";
  std::uint64_t message_bytes = 0;         ///< expected of a message between nodes
  std::uint64_t direct_message_bytes = 0;  ///< the same if they went from rank to rank
  /// The exchange has a thread of its own, and goes on while the consumer computes. Without
  /// MPI_THREAD_MULTIPLE it works inside next().
  bool exchange_thread = true;
  std::string digest;  ///< of the data set
};

/// One rank's figures of one epoch.
struct EpochStats {
  std::uint64_t epoch = 0;
  std::uint64_t samples = 0;  ///< delivered to this rank, without pads
  std::uint64_t bytes = 0;    ///< of those samples, as stored
  double seconds = 0;
  double time_to_first_batch_seconds = 0;
  double stall_seconds = 0;  ///< that the consumer waited, the first batch included
  bool verified = false;     ///< all ranks: exactly once delivered, each byte read once
};

/// Requests that were sent again, by why.
struct RetryCounts {
  std::uint64_t connection = 0;    ///< none, or a broken one
  std::uint64_t timeout = 0;       ///< no byte in time, or too few
  std::uint64_t throttled = 0;     ///< 429, 503, SlowDown
  std::uint64_t server_error = 0;  ///< other 5xx
  std::uint64_t truncated = 0;     ///< the body ended early
  std::uint64_t wrong = 0;         ///< an answer to another question
  std::uint64_t expired = 0;       ///< credentials, renewed since
  std::uint64_t corrupt = 0;       ///< a block whose checksum was wrong, read again
};

/// One rank's figures since its start.
struct LoaderStats {
  std::uint64_t store_bytes = 0;     ///< of the blocks read, each counted once however often tried
  std::uint64_t store_requests = 0;  ///< sent, tries included
  std::uint64_t retries = 0;
  RetryCounts retries_by;
  std::uint64_t hedges = 0;         ///< second requests that raced a slow one
  std::uint64_t hedges_won = 0;     ///< of them, those that came first
  std::uint64_t peak_requests = 0;  ///< in flight at once: the level that was found
  std::uint64_t wasted_bytes = 0;   ///< received for nothing: by tries that failed, or lost a race
  std::uint64_t remote_bytes = 0;   ///< of messages from other nodes that this rank received
  std::uint64_t messages = 0;       ///< sent to other nodes
  std::uint64_t message_bytes = 0;  ///< of those, all together
  std::uint64_t largest_message_bytes = 0;
  /// The process's peak resident bytes. The node's arena counts once, with the rank that owns the
  /// segment: what this rank has mapped of its neighbours' is left out.
  std::uint64_t peak_rss_bytes = 0;
  std::uint64_t peak_mapped_bytes = 0;    ///< the same with the neighbours' segments (VmHWM)
  std::uint64_t cache_hits = 0;           ///< blocks that came from the cache
  std::uint64_t cache_bytes = 0;          ///< of those
  std::uint64_t cache_written_bytes = 0;  ///< that the cache took
  /// Blocks that the cache could not keep: a failed write, a full disk, a damaged entry.
  std::uint64_t cache_dropped = 0;
};

/// Delivers the data set, shuffled over all ranks of a communicator.
///
///     faro::Loader loader(config, MPI_COMM_WORLD);
///     while (loader.begin_epoch())
///       while (auto batch = loader.next())
///         for (const faro::Sample& sample : *batch) use(sample.at("png").bytes);
///
/// Construction, begin_epoch(), next() and destruction are called by all ranks, in the same order;
/// every rank gives the same settings and gets the same number of steps. A failure of one rank to
/// read, check or hold the data is thrown on all, by the same call of next(); a silent peer and a
/// batch held too long, by the rank that meets them. With MPI_THREAD_MULTIPLE the exchange has a
/// thread of its own; with less it works inside next(), which then belongs to the thread that may
/// call MPI. One thread at a time may use a loader, failure() apart. Batches must be destroyed
/// before it.
class Loader {
 public:
  using Log = std::function<void(const std::string&)>;

  /// Collective. Initialises MPI if nobody has. Reads or builds the manifest, plans the memory and
  /// takes it, and begins to read.
  /// \param log told on rank 0 what takes long, a line at a time; on any rank, that its cache takes
  ///        no more blocks, and why
  /// Errors: of Config::validate, the store and the manifest; memory where the plan is over the
  /// budget or the node has too little.
  explicit Loader(const Config& config, MPI_Comm comm = MPI_COMM_WORLD, Log log = {});
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  [[nodiscard]] const Plan& plan() const noexcept;
  /// Begins the next epoch; what is left of the current one is passed over. False after the last.
  bool begin_epoch();
  /// The next local batch (empty where the last global batch is smaller than the job); nothing at
  /// the end of the epoch, where `verify` also throws what it found wrong.
  [[nodiscard]] std::optional<Batch> next();
  /// The error that has ended the run on all ranks, as soon as this one knows of it; next() throws
  /// it after the batches that came before it. Any thread may ask: so a code sees that a rank has
  /// died (Error(peer)) while its own thread waits for that rank in a collective of its own.
  [[nodiscard]] std::optional<Error> failure() const;
  /// The shard that holds a sample, for messages. Error(invalid_argument) where there is none.
  [[nodiscard]] std::string shard(std::uint64_t sample) const;
  /// This rank's figures of the current epoch, or of the last one where it has ended.
  [[nodiscard]] EpochStats epoch_stats() const;
  [[nodiscard]] LoaderStats stats() const;
  /// Where this rank works on its node, and what suits it there.
  [[nodiscard]] Locality locality() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faro
