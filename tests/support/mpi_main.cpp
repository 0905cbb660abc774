// main() of the tests that run under mpirun. FARO_TEST_THREADS=funneled asks MPI for less than
// MPI_THREAD_MULTIPLE, as a host program may.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const char* threads = std::getenv("FARO_TEST_THREADS");
  const bool funneled = threads != nullptr && std::string_view(threads) == "funneled";
  int level = 0;
  MPI_Init_thread(&argc, &argv, funneled ? MPI_THREAD_FUNNELED : MPI_THREAD_MULTIPLE, &level);
  const int failed = RUN_ALL_TESTS();
  MPI_Finalize();
  return failed;
}
