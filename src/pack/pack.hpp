// Interface of pack/: a data set of some source, written as tar shards under WebDataset's rules.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "comm/comm.hpp"
#include "pack/target.hpp"

namespace faro::pack {

/// What to pack, from where, to where.
struct PackOptions {
  std::string source = "idx";   ///< a name of source_kinds()
  std::string input;            ///< what the source reads: for idx a directory
  std::string output;           ///< directory of the shards (made if absent), or s3://bucket/prefix
  std::string split = "train";  ///< the part of the data set: train | t10k
  std::uint64_t samples_per_shard = 1'000;  ///< the last shard may hold fewer
  std::string prefix;                       ///< of the shards' names; empty: the split's name
  bool force = false;                       ///< replace shards of the same name
  store::Options store = {};                ///< how s3:// is written to
  Checkpoint checkpoint = {};               ///< called at every sample, and while parts are sent
};

/// What was written, over all ranks.
struct PackResult {
  std::uint64_t samples = 0;
  std::uint64_t shards = 0;
  std::uint64_t payload_bytes = 0;  ///< of the samples' fields
  std::uint64_t shard_bytes = 0;    ///< of the shards as files
  std::string pattern;              ///< DATA of the shards: "OUT/train-{000000..000059}.tar"
};

/// Called on rank 0 with what is written so far and the number of samples of the source.
using PackProgress = std::function<void(const PackResult& so_far, std::uint64_t samples)>;

/// Writes OUT/<prefix>-000000.tar and on, the shards dealt over the ranks; the bytes do not depend
/// on how many there are, nor on where they go. Collective; the output is one directory that all
/// ranks see, or a store. All shards appear at the end, or, where a rank fails, none: every rank
/// then throws the same Error, after the shard each is writing, and what stood there before is
/// untouched.
/// Errors: invalid_argument (an option, shards that exist), not_found, access_denied, format (the
/// source is not well formed), io (a full disk), memory; what a store may answer.
PackResult pack(const PackOptions& options, comm::Communicator& comm,
                const PackProgress& progress = {});

}  // namespace faro::pack
