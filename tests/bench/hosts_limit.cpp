// What MPI itself brings from node to node: every rank sends to every rank of other nodes straight
// from its memory, and receives into memory, nothing packed. Beside it tests/bench/hosts.py holds
// what faro delivers.
//
//   mpirun -n 6 hosts_limit BYTES_PER_PAIR MESSAGE_BYTES...
//
// One line a message size: bytes of a message, bytes a second that all ranks received together, the
// slowest rank's time counted. All messages of a pair are posted at once.
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace {

struct Peers {
  std::vector<int> ranks;  // on other nodes
  std::size_t bytes;       // to and from each
  std::vector<char> out;
  std::vector<char> in;
};

double exchange(Peers& peers, std::size_t message) {
  std::vector<MPI_Request> requests;
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = MPI_Wtime();
  for (const bool sends : {false, true}) {
    // Piece by piece over all peers, so that none is idle until another is done.
    for (std::size_t at = 0; at < peers.bytes; at += message) {
      const int count = static_cast<int>(std::min(message, peers.bytes - at));
      for (std::size_t i = 0; i < peers.ranks.size(); ++i) {
        const auto place = i * peers.bytes + at;
        auto& request = requests.emplace_back();
        if (sends) {
          MPI_Isend(&peers.out[place], count, MPI_BYTE, peers.ranks[i], 1, MPI_COMM_WORLD,
                    &request);
        } else {
          MPI_Irecv(&peers.in[place], count, MPI_BYTE, peers.ranks[i], 1, MPI_COMM_WORLD, &request);
        }
      }
    }
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  double seconds = MPI_Wtime() - start;
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

Peers find_peers(std::size_t bytes) {
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node);
  int first = rank;
  MPI_Bcast(&first, 1, MPI_INT, 0, node);
  MPI_Comm_free(&node);
  std::vector<int> nodes(static_cast<std::size_t>(size));
  MPI_Allgather(&first, 1, MPI_INT, nodes.data(), 1, MPI_INT, MPI_COMM_WORLD);
  Peers peers;
  for (int i = 1; i < size; ++i) {  // each rank begins with its next one
    const int peer = (rank + i) % size;
    if (nodes[static_cast<std::size_t>(peer)] != first) peers.ranks.push_back(peer);
  }
  peers.bytes = bytes;
  peers.out.assign(peers.ranks.size() * bytes, 'x');  // touched: first touch is slow
  peers.in.assign(peers.ranks.size() * bytes, '\0');
  return peers;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  auto peers = find_peers(std::strtoull(argc > 1 ? argv[1] : "1048576", nullptr, 10));
  unsigned long long total = peers.bytes * peers.ranks.size();
  MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, MPI_COMM_WORLD);
  exchange(peers, std::size_t{1} << 20);  // connections
  for (int i = 2; i < argc; ++i) {
    const auto message = std::strtoull(argv[i], nullptr, 10);
    const double seconds = std::min(exchange(peers, message), exchange(peers, message));
    if (rank == 0) {
      fmt::print("{} {:.0f}\n", message, static_cast<double>(total) / seconds);
      std::fflush(stdout);
    }
  }
  MPI_Finalize();
  return 0;
}
