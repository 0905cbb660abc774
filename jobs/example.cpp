// A training loop fed by faro: mpirun -n 4 faro_example 'DATA/train-{000000..000059}.tar' 3
//
// Build: mpicxx -std=c++20 example.cpp $(pkg-config --cflags --libs faro), or find_package(faro).
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <faro/loader.hpp>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int status = EXIT_SUCCESS;
  try {
    faro::Config config;
    config.data = argc > 1 ? argv[1] : "data";
    config.epochs = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    config.seed = 1;            // the order depends on this and on the epoch, not on the ranks
    config.global_batch = 256;  // over all ranks; each gets its share of it
    config.end = faro::EndPolicy::pad;

    // Collective: every rank makes it with the same settings, reads its part of the shards and
    // exchanges samples with the others while this loop computes.
    faro::Loader loader(config, MPI_COMM_WORLD);
    unsigned long long mine[2] = {0, 0};  // samples, bytes
    while (loader.begin_epoch()) {
      // The same number of batches on every rank, so collectives in the loop are safe.
      while (auto batch = loader.next()) {
        for (const faro::Sample& sample : *batch) {
          if (sample.pad) continue;  // fills up the last batch: its weight is zero
          // Views of the bytes in place, valid as long as the batch: decode from here.
          for (const faro::Field& field : sample.fields) mine[1] += field.bytes.size();
          ++mine[0];
        }
      }  // the batch ends here and its memory is used again
    }
    unsigned long long all[2] = {0, 0};
    MPI_Reduce(mine, all, 2, MPI_UNSIGNED_LONG_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) std::printf("%llu samples, %llu bytes\n", all[0], all[1]);
  } catch (const faro::Error& error) {
    // The same error on every rank: nobody is left waiting, so all can leave in good order.
    std::fprintf(stderr, "faro_example: %s\n", error.what());
    status = EXIT_FAILURE;
  }
  MPI_Finalize();
  return status;
}
