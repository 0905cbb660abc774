// The order of a run, as CSV (RFC 4180).
#pragma once

#include <fstream>
#include <optional>
#include <string>

#include "comm/comm.hpp"
#include "faro/batch.hpp"

namespace faro::cli {

/// One row a delivered sample, in order: by step, then rank, then slot of the rank's batch. Every
/// rank adds its batches; rank 0 writes. All calls are collective.
class OrderFile {
 public:
  /// Error(io) where the file cannot be made.
  OrderFile(std::string file, comm::Communicator& comm);
  /// The row of a sample of this rank's current batch. Not collective.
  void row(const Batch& batch, std::size_t slot, std::uint64_t bytes, std::uint32_t crc);
  /// Ends the batch. A write that fails is told by end().
  void step();
  /// Error(io) on all ranks where rank 0 could not write (a full disk).
  void end();

 private:
  std::string file_;
  comm::Communicator& comm_;
  std::ofstream out_;
  std::string rows_;
};

}  // namespace faro::cli
