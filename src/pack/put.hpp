// Interface of pack/: files that exist, copied into an object store.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/comm.hpp"
#include "pack/target.hpp"

namespace faro::pack {

/// What to copy, to where.
struct PutOptions {
  std::vector<std::string> sources;  ///< each a DATA: file, directory, glob, pattern, @list, URI
  std::string output;                ///< s3://bucket/prefix; a file NAME becomes prefix/NAME
  bool force = false;                ///< replace objects of the same name
  store::Options store = {};         ///< how s3:// is written to, and sources are read
  Checkpoint checkpoint = {};        ///< called now and then while parts are sent
};

/// What was copied, over all ranks.
struct PutResult {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t parts = 0;
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::string data;  ///< DATA of the objects: a pattern where their names are one
};

/// Called on rank 0 with the bytes that are in the store so far, and all of them.
using PutProgress = std::function<void(std::uint64_t bytes, std::uint64_t total)>;

/// Copies the sources. Their parts are dealt over the ranks, so that one large file keeps all busy.
/// Collective; all ranks must see the same files. All objects appear at the end, or, where a rank
/// fails, none: every rank then throws the same Error, and no upload is left in the store.
/// Errors: invalid_argument (an option, objects that exist, names that are not unique), changed (a
/// source was written to meanwhile), not_found, access_denied, io, what a store may answer.
PutResult put(const PutOptions& options, comm::Communicator& comm,
              const PutProgress& progress = {});

}  // namespace faro::pack
