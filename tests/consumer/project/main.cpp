// A training code that knows faro only as an installed package: it counts what it is given.
#include <faro/loader.hpp>

#include <cstdint>
#include <iostream>
#include <string>

namespace {

int run(const std::string& data, std::uint64_t epochs) {
  faro::Config config;
  config.data = data;
  config.epochs = epochs;
  config.global_batch = 2;
  config.memory = 64U << 20;
  faro::Loader loader(config, MPI_COMM_WORLD);

  std::uint64_t mine[2] = {0, 0};
  while (loader.begin_epoch()) {
    while (auto batch = loader.next()) {
      for (const faro::Sample& sample : *batch) {
        ++mine[0];
        for (const faro::Field& field : sample.fields) mine[1] += field.bytes.size();
      }
    }
  }
  std::uint64_t all[2] = {0, 0};
  MPI_Allreduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 0) std::cout << all[0] << " samples, " << all[1] << " bytes\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int status = 1;
  try {
    status = run(argc > 1 ? argv[1] : "data", argc > 2 ? std::stoull(argv[2]) : 1);
  } catch (const faro::Error& error) {
    std::cerr << "consumer: " << error.what() << '\n';
  }
  MPI_Finalize();
  return status;
}
