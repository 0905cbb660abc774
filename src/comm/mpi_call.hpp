// Internal to comm/: checked MPI calls.
#pragma once

#include <mpi.h>

#include <array>
#include <string>

#include "comm/comm.hpp"

namespace faro::comm {

/// Error(mpi) with the call's name and MPI's text unless code is MPI_SUCCESS.
inline void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail(ErrorCode::mpi, "{} failed: {}", call, std::string(text.data(), length));
}

/// Whether MPI calls are still allowed; owners that outlive MPI_Finalize let go silently.
inline bool mpi_alive() {
  int finalised = 0;
  MPI_Finalized(&finalised);
  return finalised == 0;
}

}  // namespace faro::comm
