// How a Communicator is made from MPI.
#pragma once

#include <mpi.h>

#include <memory>
#include <optional>
#include <string>

#include "comm/comm.hpp"

namespace faro::comm {

/// Initialises MPI with MPI_THREAD_MULTIPLE if nobody has, and finalises it at exit if it did.
/// A process that no launcher started becomes a job of one rank.
void ensure_mpi();

/// This process's rank in MPI_COMM_WORLD; 0 where MPI is not running.
[[nodiscard]] int job_rank();

/// Ends the whole job at once (MPI_Abort). For programs of our own alone, where a rank is silent.
[[noreturn]] void abort_job(int code);

/// The rank that a launcher (mpirun, srun) has told this process in its environment, before MPI is
/// initialised; 0 where none has.
[[nodiscard]] int launcher_rank();

/// The number among the ranks of its node that a launcher has given this process; 0 where none has.
[[nodiscard]] int launcher_local_rank();

/// "Open MPI v4.1.4".
[[nodiscard]] std::string mpi_library();

/// What MPI says (MPIX_Query_cuda_support, an extension) of messages from and to the memory of
/// NVIDIA's GPUs; nothing where it has no such call.
[[nodiscard]] std::optional<bool> mpi_says_cuda();

/// The ranks of `comm`, on a duplicate of it. Collective. Error(invalid_argument) where MPI is not
/// initialised or already finalised.
[[nodiscard]] std::unique_ptr<Communicator> from_mpi(MPI_Comm comm);

}  // namespace faro::comm
