#include "topology/hwloc_machine.hpp"

#include <algorithm>
#include <cctype>
#include <map>

#include <fmt/format.h>

namespace faro::topology {
namespace {

std::string info(hwloc_obj_t object, const char* name) {
  const char* value = hwloc_obj_get_info_by_name(object, name);
  return value != nullptr ? value : "";
}

std::string bus_id_of(hwloc_obj_t device) {
  const auto& pci = device->attr->pcidev;
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", pci.domain, pci.bus, pci.dev, pci.func);
}

/// What hangs on one PCI device: it may have several names (mlx5_0 and ib0; cuda0 and nvml0).
struct Found {
  Device device;
  bool gpu = false;
  bool nic = false;
  bool disk = false;
  bool known_ports = false;
  std::string network;  // ib0, eth0
};

// PCI's class of display controllers, and NVIDIA's vendor number: hwloc finds the names of GPUs
// (CoProc) only where it was built with CUDA, NVML or OpenCL.
constexpr unsigned display_class = 0x03;
constexpr unsigned nvidia = 0x10de;

Found locate(hwloc_topology_t topology, hwloc_obj_t pci) {
  Found found;
  const auto& attributes = pci->attr->pcidev;
  found.device.bus_id = bus_id_of(pci);
  found.gpu = attributes.class_id >> 8 == display_class && attributes.vendor_id == nvidia;
  for (auto* above = pci->parent; above != nullptr; above = above->parent) {
    if (above->type != HWLOC_OBJ_BRIDGE) break;
    found.device.bridges.push_back(above->gp_index);
  }
  std::reverse(found.device.bridges.begin(), found.device.bridges.end());
  const auto* near = hwloc_get_non_io_ancestor_obj(topology, pci);
  found.device.cpus = from_hwloc(near->cpuset);
  if (found.device.cpus.empty()) {  // not told: as near to all
    found.device.cpus = from_hwloc(hwloc_get_root_obj(topology)->cpuset);
  }
  return found;
}

void add_name(Found& found, hwloc_obj_t os) {
  auto& device = found.device;
  const std::string name = os->name != nullptr ? os->name : "";
  switch (os->attr->osdev.type) {
    case HWLOC_OBJ_OSDEV_COPROC:
      found.gpu = true;
      if (device.name.empty() || name.starts_with("cuda")) device.name = name;
      break;
    case HWLOC_OBJ_OSDEV_GPU:
      if (found.gpu && device.name.empty() && name.starts_with("nvml")) device.name = name;
      if (device.uuid.empty()) device.uuid = info(os, "NVIDIAUUID");
      break;
    case HWLOC_OBJ_OSDEV_OPENFABRICS: {
      found.nic = true;
      device.fabric = true;
      device.name = name;
      for (int port = 1;; ++port) {
        const auto state = info(os, fmt::format("Port{}State", port).c_str());
        if (state.empty()) break;
        const bool active = state.front() == '4';  // IBTA's "Active"
        device.up = found.known_ports ? device.up || active : active;
        found.known_ports = true;
      }
      break;
    }
    case HWLOC_OBJ_OSDEV_NETWORK:
      found.nic = true;
      found.network += (found.network.empty() ? "" : ", ") + name;
      break;
    case HWLOC_OBJ_OSDEV_BLOCK:
      found.disk = true;
      device.name += (device.name.empty() ? "" : ", ") + name;
      break;
    default: break;
  }
}

void read_devices(hwloc_topology_t topology, Machine& machine) {
  std::map<std::string, Found> found;  // by bus id, which sorts as the buses do
  for (hwloc_obj_t pci = nullptr; (pci = hwloc_get_next_pcidev(topology, pci)) != nullptr;) {
    found.emplace(bus_id_of(pci), locate(topology, pci));
  }
  for (hwloc_obj_t os = nullptr; (os = hwloc_get_next_osdev(topology, os)) != nullptr;) {
    auto* above = os->parent;
    while (above != nullptr && above->type == HWLOC_OBJ_OS_DEVICE) above = above->parent;
    if (above == nullptr || above->type != HWLOC_OBJ_PCI_DEVICE) continue;  // no hardware
    add_name(found.at(bus_id_of(above)), os);
  }
  for (auto& [bus_id, one] : found) {
    auto& device = one.device;
    if (one.nic && device.name.empty()) {
      device.name = one.network;
    } else if (one.nic && !one.network.empty()) {
      device.name += " (" + one.network + ")";
    }
    if (device.name.empty()) device.name = bus_id;
    if (one.gpu) machine.gpus.push_back(device);
    if (one.nic) machine.nics.push_back(device);
    if (one.disk) machine.disks.push_back(device);
  }
}

std::vector<CpuSet> sets_of(hwloc_topology_t topology, hwloc_obj_type_t type) {
  std::vector<CpuSet> sets;
  for (hwloc_obj_t at = nullptr;
       (at = hwloc_get_next_obj_by_type(topology, type, at)) != nullptr;) {
    sets.push_back(from_hwloc(at->cpuset));
  }
  return sets;
}

}  // namespace

CpuSet from_hwloc(hwloc_const_bitmap_t bits) {
  CpuSet cpus;
  if (bits == nullptr || hwloc_bitmap_weight(bits) < 0) return cpus;  // endless sets: no machine's
  for (int cpu = -1; (cpu = hwloc_bitmap_next(bits, cpu)) >= 0;) {
    cpus.insert(cpus.end(), static_cast<unsigned>(cpu));
  }
  return cpus;
}

Machine read_machine(hwloc_topology_t topology) {
  Machine machine;
  auto* root = hwloc_get_root_obj(topology);
  machine.name = info(root, "HostName");
  machine.cpus = from_hwloc(root->cpuset);
  machine.packages = sets_of(topology, HWLOC_OBJ_PACKAGE);
  machine.cores = sets_of(topology, HWLOC_OBJ_CORE);
  if (machine.cores.empty()) machine.cores = sets_of(topology, HWLOC_OBJ_PU);
  hwloc_obj_t at = nullptr;
  while ((at = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, at)) != nullptr) {
    NumaNode node{at->os_index, at->attr->numanode.local_memory, from_hwloc(at->cpuset)};
    // A second kind of memory (high-bandwidth, a GPU's) near processors that have some already.
    const bool second = std::any_of(machine.numa.begin(), machine.numa.end(), [&](const auto& one) {
      return !common(one.cpus, node.cpus).empty();
    });
    if (!node.cpus.empty() && !second) machine.numa.push_back(std::move(node));
  }
  read_devices(topology, machine);
  return machine;
}

}  // namespace faro::topology
