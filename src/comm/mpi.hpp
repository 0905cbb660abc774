// How a Communicator is made from MPI.
#pragma once

#include <mpi.h>

#include <memory>

#include "comm/comm.hpp"

namespace faro::comm {

/// Initialises MPI with MPI_THREAD_MULTIPLE if nobody has, and finalises it at exit if it did.
/// A process that no launcher started becomes a job of one rank.
void ensure_mpi();

/// The ranks of `comm`, on a duplicate of it. Collective. Error(invalid_argument) where MPI is not
/// initialised or already finalised.
[[nodiscard]] std::unique_ptr<Communicator> from_mpi(MPI_Comm comm);

}  // namespace faro::comm
