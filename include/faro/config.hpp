/// \file
/// The settings of a Loader. Every field is also an option of the `faro` command and a key of its
/// TOML files, under the same name.
#pragma once

#include <cstdint>
#include <string>

namespace faro {

/// What becomes of the samples that do not fill the last global batch of an epoch.
enum class EndPolicy {
  drop,     ///< they are left out of this epoch
  pad,      ///< the batch is filled with repeated samples of weight zero (Sample::pad)
  partial,  ///< the last batch is smaller, and some ranks' local batches may be empty
};

/// The bytes that are shuffled together, in aggregate over all ranks.
struct Window {
  enum class Kind { automatic, full, bytes };
  Kind kind = Kind::automatic;
  std::uint64_t bytes = 0;  ///< for Kind::bytes
  bool operator==(const Window&) const = default;
};

/// Settings of one loader; plain values, checked by validate(). All sizes are in bytes.
struct Config {
  std::string data;      ///< brace pattern, directory, glob, single shard, or @file with a list
  std::string manifest;  ///< HDF5 manifest; made there if absent; empty: index in memory
  std::string format = "auto";      ///< auto | tar | raw
  std::uint64_t raw_header = 0;     ///< raw: bytes before the first record of a shard
  std::uint64_t raw_record = 0;     ///< raw: bytes of a record
  std::uint64_t epochs = 1;         ///< number of epochs
  std::uint64_t first_epoch = 0;    ///< number of the first epoch
  std::uint64_t seed = 0;           ///< the shuffle's seed
  std::uint64_t global_batch = 64;  ///< samples of a step over all ranks
  EndPolicy end = EndPolicy::drop;  ///< what the end of an epoch does
  Window window;                    ///< samples that are shuffled together
  std::uint64_t memory = 0;  ///< budget of a rank; 0: half of what is free, over the node's ranks
  std::uint64_t block_size = 0;  ///< target bytes of a block when indexing; 0: from the data set
  std::uint64_t request_size = 8U << 20;  ///< largest range of one request
  /// Requests in flight of a rank at most; how many are is found by measuring.
  std::uint64_t max_requests = 128;
  std::uint64_t attempts = 10;    ///< tries of one range that is answered wrongly
  double request_timeout = 30.0;  ///< seconds without a byte before a request is given up
  double low_speed = 1024.0;  ///< bytes/s; slower over request_timeout is given up, too; 0: none
  double request_deadline = 600.0;  ///< seconds that a range may take, all its tries included
  double outage_deadline = 120.0;   ///< seconds that the store may answer nothing before an error
  bool hedge = true;  ///< race a request that is slower than others of its size by a second one
  std::string endpoint_url;       ///< s3: "https://s3.centre.example"; empty: AWS's settings
  std::string region;             ///< s3: empty: AWS's settings
  std::string profile;            ///< s3: of ~/.aws/config and credentials; empty: AWS's settings
  std::string s3_style = "auto";  ///< auto | path | virtual: where the bucket's name stands
  bool anonymous = false;         ///< s3: requests are not signed
  /// none | memory | a directory (of the node, such as its NVMe): keeps blocks for later epochs,
  /// and a directory for later jobs too.
  std::string cache = "none";
  std::uint64_t cache_limit = 0;  ///< bytes of a node's cache; needed where there is one
  /// Seconds that a rank waits in next() for others that neither read nor fail before it gives up:
  /// more than the longest pause of any rank's consumer (a checkpoint).
  double peer_timeout = 300.0;
  std::string ca_file;  ///< PEM bundle that HTTPS servers are checked against
  /// Batches a consumer may work on at once: it may still hold the last leases - 1 when it asks for
  /// the next.
  std::uint64_t leases = 2;
  std::uint64_t node_ranks = 0;  ///< ranks that share one arena; 0: all ranks of a node
  /// auto | direct | gathered: whether samples go to other nodes from rank to rank, or gathered
  /// from node to node; auto: by the size of the messages.
  std::string exchange = "auto";
  /// auto | none: the threads that read and exchange are bound to cores near the NIC, where every
  /// rank of the node has a core for each of its busy threads.
  std::string bind = "auto";
  /// Indexing reads every byte and records each block's CRC32C (as `faro index` does); else, where
  /// samples are large, headers alone.
  bool checksums = false;
  bool verify = false;  ///< prove exactly-once delivery and reading after every epoch

  bool operator==(const Config&) const = default;

  /// Throws Error(invalid_argument) that names the setting and the accepted range.
  void validate() const;
};

}  // namespace faro
