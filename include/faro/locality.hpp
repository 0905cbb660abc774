/// \file
/// Where a rank works on its node.
#pragma once

#include <string>
#include <vector>

namespace faro {

/// What suits one rank best, among what its launcher has left it, and what was done. Ranks of a
/// node get different GPUs as long as there are any.
struct Locality {
  std::string node;           ///< the host's name
  std::string cpus;           ///< that this process may use: "0-7,16"
  std::string fetch_cpus;     ///< that the thread which reads is bound to; empty: it is not
  std::string exchange_cpus;  ///< the same of the thread which exchanges
  int numa = -1;              ///< node that the arena's memory is asked of; -1: the first touch's
  std::string gpu;            ///< PCI bus id, "0000:17:00.0"; empty: none
  std::string nic;            ///< "mlx5_0 (ib0)"; empty: none
  std::string device;  ///< where tensors lie with device = auto, and why; empty: not known
  std::string path;    ///< how samples come into them
  bool huge_pages = false;    ///< the system gives them to the arena
  std::vector<std::string> notes;  ///< why so, for people
};

}  // namespace faro
