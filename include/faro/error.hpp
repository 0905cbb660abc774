/// \file
/// The one exception type of faro. Every failure, on whichever rank it began, reaches the caller
/// as a faro::Error with the same code and text on all ranks.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace faro {

/// What kind of failure it was. The numbers are stable: they cross ranks and the C boundary.
enum class ErrorCode : int {
  invalid_argument = 1,  ///< a setting, an option or an argument is absurd
  not_found = 2,         ///< no such object, file, directory or shard
  access_denied = 3,     ///< the store refused (401, 403, EACCES)
  network = 4,           ///< no connection, a broken one, a server error that retries did not mend
  timeout = 5,           ///< no answer in time
  changed = 6,           ///< a shard is not the one that was indexed (size, ETag)
  corrupt = 7,           ///< bytes differ from their checksum
  format = 8,            ///< the shard, manifest or configuration is not well formed
  memory = 9,            ///< the budget, the node's memory or its shared memory is too small
  io = 10,               ///< a local read or write failed (full disk, EIO)
  mpi = 11,              ///< an MPI call failed
  peer = 12,             ///< another rank is silent or has left
  stopped = 13,          ///< another rank ended the run early
  internal = 14,         ///< a defect in faro
  device = 15,           ///< a CUDA or NCCL call failed, or there is no such GPU
};

/// The name of a code, as logs and reports print it ("not_found").
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

/// Thrown by every call of the library that fails. Thread safety: immutable.
class Error : public std::runtime_error {
 public:
  /// \param code what kind of failure
  /// \param message what, where and what to do, in one line
  /// \param rank the rank on which it began; -1 where it is not one rank's failure
  Error(ErrorCode code, const std::string& message, int rank = -1)
      : std::runtime_error(message), code_(code), rank_(rank) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  /// Rank (in the loader's communicator) on which the failure began, or -1.
  [[nodiscard]] int rank() const noexcept { return rank_; }

 private:
  ErrorCode code_;
  int rank_;
};

}  // namespace faro
