// Interface of topology/: what a node is made of, and where the ranks on it best work. hwloc behind
// it; no other folder calls hwloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace faro::topology {

/// Logical processors, by the system's numbers.
using CpuSet = std::set<unsigned>;

/// "0-3,8": as taskset and Slurm write it; "none" where it is empty.
[[nodiscard]] std::string to_string(const CpuSet& cpus);
[[nodiscard]] CpuSet common(const CpuSet& a, const CpuSet& b);

/// Memory of its own, and the processors near it. Memory without processors is left out.
struct NumaNode {
  unsigned number = 0;  ///< the system's
  std::uint64_t bytes = 0;
  CpuSet cpus;
};

/// Something on the PCI bus.
struct Device {
  std::string name;    ///< "mlx5_0 (ib0)"
  std::string bus_id;  ///< "0000:17:00.0"
  std::string uuid;    ///< of a GPU, where hwloc's build tells it
  CpuSet cpus;         ///< those near it
  /// Bridges above it, the outermost first: devices are the nearer, the more they share.
  std::vector<std::uint64_t> bridges;
  bool fabric = false;  ///< a NIC: OpenFabrics, not Ethernet alone
  bool up = true;       ///< a NIC: a port is active, as far as is known
};

/// A node of a cluster.
struct Machine {
  std::string name;
  CpuSet cpus;
  std::vector<CpuSet> packages;
  std::vector<NumaNode> numa;
  std::vector<CpuSet> cores;  ///< processors that share a core
  std::vector<Device> gpus;   ///< by bus id: CUDA's order, where the GPUs are alike
  std::vector<Device> nics;
  std::vector<Device> disks;
};

/// The GPUs that a value of CUDA_VISIBLE_DEVICES leaves, as indices of `machine.gpus` in its order;
/// nothing where that cannot be told (a UUID that hwloc does not know, a part of a GPU).
[[nodiscard]] std::optional<std::vector<std::size_t>> visible_gpus(const Machine& machine,
                                                                   std::string_view variable);
/// The same by PCI bus ids ("00000000:17:00.0" as CUDA writes it), those that are not of the
/// machine left out.
[[nodiscard]] std::vector<std::size_t> gpus_at(const Machine& machine,
                                               std::span<const std::string> bus_ids);

/// Adds the GPUs with these PCI bus ids that the machine does not know: hwloc may see no PCI bus,
/// as in a container. They are as near to all processors.
void add_gpus(Machine& machine, std::span<const std::string> bus_ids);

/// A rank of the node, as its launcher has started it.
struct LocalRank {
  CpuSet cpus;                                   ///< that it may use
  std::optional<std::vector<std::size_t>> gpus;  ///< that it may use; nothing: all
};

/// Where a rank works best. Indices are the machine's.
struct Placement {
  CpuSet cpus;  ///< that it may use
  std::optional<std::size_t> gpu;
  std::size_t gpu_ranks = 0;        ///< of the node that have this GPU
  std::optional<std::size_t> nic;   ///< nearest to its GPU, or to its processors
  CpuSet fetch;                     ///< that the thread which reads is bound to; empty: it is not
  CpuSet communication;             ///< the same of the thread which exchanges
  bool keeps_off = false;           ///< not bound, it stays off the core that its consumer is on
  std::optional<std::size_t> numa;  ///< for its arena; nothing: wherever it is touched first
  std::vector<std::string> notes;   ///< why so, for people
};

/// Threads of a rank that compute at the same time: the consumer's, fetch and communication.
constexpr std::size_t busy_threads = 3;

/// Places all ranks of a node, given in the launcher's local order (SLURM_LOCALID).
///
/// GPUs: each rank one that it may use, as long as there are any that no rank has; of them the
/// nearest to its processors, then the first. NICs: the nearest, equals in turn. Threads are bound,
/// where `bind` and the ranks that share processors have busy_threads cores each, to cores that no
/// other rank's threads are bound to and that leave one for each consumer; near the NIC, never
/// outside what the rank may use. With two cores each the exchange keeps off its consumer's, as
/// some systems wake a thread where its waker runs, whatever else is free. Processors that are none
/// of the machine's count as not bound.
[[nodiscard]] std::vector<Placement> place(const Machine& machine, std::span<const LocalRank> ranks,
                                           bool bind = true);

/// A machine as hwloc knows it. Copies share it. Thread safe.
class Topology {
 public:
  /// The machine that this runs on, or the one of HWLOC_XMLFILE. Errors as of load(); internal.
  [[nodiscard]] static Topology detect();
  /// The machine of an XML file, as `lstopo machine.xml` writes it. Error(not_found),
  /// Error(format).
  [[nodiscard]] static Topology load(const std::string& file);
  /// The machine of xml() of another process, on the same machine if `same`. Error(format).
  [[nodiscard]] static Topology parse(const std::string& xml, bool same);

  [[nodiscard]] const Machine& machine() const noexcept;
  [[nodiscard]] std::string xml() const;
  /// Whether it is the machine that this runs on: on others nothing is bound.
  [[nodiscard]] bool here() const noexcept;
  /// The processors that this process may use: what launcher, cgroup and taskset have left it.
  [[nodiscard]] CpuSet allowed() const;
  /// Binds the calling thread. Why it could not, for people; nothing where it could.
  [[nodiscard]] std::optional<std::string> bind_thread(const CpuSet& cpus) const;
  /// Memory of the pages that are not there yet comes from that NUMA node of machine().numa, as
  /// long as it has some. Why that could not be asked for; nothing where it could.
  [[nodiscard]] std::optional<std::string> prefer(std::span<std::byte> memory,
                                                  std::size_t numa) const;

 private:
  struct State;
  explicit Topology(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace faro::topology
