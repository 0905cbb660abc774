// What lies between simulated ranks.
#pragma once

#include <cstring>

#include "base/error.hpp"
#include "comm/threads.hpp"
#include "faults.hpp"
#include "scheduler.hpp"

namespace faro::sim {

struct NetworkFaults {
  double latency = 1e-5;
  double late = 0;  // chance of a message that takes up to 100 times as long
  std::uint64_t eager_bytes = 4096;
  int failing = -1;  // a rank whose calls fail, from a time on
  double fails_from = 0;
  bool fails_once = false;
};

class Network final : public comm::Network {
 public:
  Network(const NetworkFaults& faults, Broken broken, Scheduler& scheduler, Counts& counts)
      : faults_(faults), broken_(broken), scheduler_(scheduler), counts_(counts) {}

  Clock::duration delay(int, int) override {
    auto& random = scheduler_.random();
    double time = faults_.latency * random.real(0.3, 3);
    if (random.chance(faults_.late)) {
      time *= random.real(1, 100);
      ++counts_["network: late"];
    }
    return seconds(time);
  }
  bool eager(std::uint64_t bytes) override { return bytes <= faults_.eager_bytes; }
  void call(int rank, const char* name) override {
    if (scheduler_.random().chance(0.3)) scheduler_.yield();
    // Where a rank fails in a blocking collective the others wait for ever, as with MPI itself.
    const bool bounded = std::strncmp(name, "start", 5) == 0 || std::strcmp(name, "probe") == 0 ||
                         std::strncmp(name, "a", 2) == 0;
    if (rank != faults_.failing || !bounded || scheduler_.elapsed() < faults_.fails_from) return;
    if (faults_.fails_once) faults_.failing = -1;
    ++counts_["network: a call fails"];
    faro::fail(ErrorCode::mpi, "{} failed: as the seed has it", name);
  }
  void arrived(int, int, std::span<std::byte> bytes) override {
    if (broken_ == Broken::message && bytes.size() > 64) bytes.back() ^= std::byte{1};
  }

 private:
  NetworkFaults faults_;
  Broken broken_;
  Scheduler& scheduler_;
  Counts& counts_;
};

}  // namespace faro::sim
