#include "loader/device.hpp"

#include <array>

#include "base/error.hpp"
#include "base/runtime.hpp"
#include "loader/placing.hpp"

namespace faro::loader {
namespace {

DeviceChoice on_host(std::string_view why) {
  return {-1, fmt::format("host ({})", why)};
}

std::string numbered(int device, const cuda::Backend& backend) {
  const auto& name = backend.names[static_cast<std::size_t>(device)];
  const auto& bus_id = backend.bus_ids[static_cast<std::size_t>(device)];
  return fmt::format("cuda {}: {} ({})", device, name, bus_id);
}

/// This rank's own, whatever the others have. Collective over the node.
DeviceChoice own_device(comm::Communicator& node, const cuda::Backend& backend) {
  try {
    const auto found = inspect_node(node, backend);
    return device_of(found.machine, topology::place(found.machine, found.ranks)[found.mine],
                     backend);
  } catch (const Error& error) {  // on all ranks of the node
    if (!backend.usable) return on_host(backend.why);
    const int device = node.rank() % backend.devices;
    return {device, fmt::format("{}, by the rank's number, as the machine is not known: {}",
                                numbered(device, backend), error.what())};
  }
}

}  // namespace

DeviceChoice device_of(const topology::Machine& machine, const topology::Placement& place,
                       const cuda::Backend& backend) {
  if (!backend.usable) return on_host(backend.why);
  for (int device = 0; place.gpu && device < backend.devices; ++device) {
    const auto& bus_id = backend.bus_ids[static_cast<std::size_t>(device)];
    if (topology::gpus_at(machine, std::array{bus_id}) != std::vector{*place.gpu}) continue;
    const auto& near = machine.gpus[*place.gpu].cpus;
    auto text = numbered(device, backend);
    if (near != machine.cpus) text += fmt::format(", near cpus {}", topology::to_string(near));
    if (near != machine.cpus && topology::common(near, place.cpus).empty()) {
      text += fmt::format(", none of which this rank may use (its own: {})",
                          topology::to_string(place.cpus));
    }
    if (place.gpu_ranks > 1) text += fmt::format(", shared by {} ranks", place.gpu_ranks);
    return {device, text};
  }
  return on_host("this rank sees no GPU: CUDA_VISIBLE_DEVICES");
}

std::string path_to(const DeviceChoice& device) {
  if (device.number < 0) {
    return "tensors are made on the host, from the shared memory of this node's ranks and from "
           "what has come from other nodes";
  }
  return "this node's samples are read by the GPU where they lie in page-locked shared memory, or "
         "decoded into page-locked memory first; other nodes' arrive in the host's memory, or "
         "with arrivals = device in the GPU's, where MPI brings them there";
}

DeviceChoice choose_device(const std::string& asked, comm::Communicator& world,
                           comm::Communicator& node, const std::function<void(int)>& open,
                           const cuda::Backend& backend) {
  if (runtime() != nullptr) return on_host("a simulated job");
  const std::uint64_t kind = asked == "host" ? 0 : asked == "auto" ? 1 : 2;
  std::array<std::uint64_t, 2> kinds{kind, ~kind};
  world.all_reduce(kinds, comm::Op::max);
  check(kinds[0] == ~kinds[1], ErrorCode::invalid_argument,
        "device is not the same on all ranks: give every rank the same settings");
  if (asked == "host") return on_host("device = host");

  auto mine = own_device(node, backend);
  try {
    if (mine.number >= 0) open(mine.number);
  } catch (...) {
    mine = on_host(fmt::format("{}: {}", mine.text, comm::current_error(world.rank()).what()));
  }
  const auto rank = static_cast<std::uint64_t>(world.rank());
  std::array<std::uint64_t, 1> lacking{mine.number < 0 ? rank : UINT64_MAX};
  world.all_reduce(lacking, comm::Op::min);
  if (lacking[0] == UINT64_MAX) return mine;
  const auto first = static_cast<int>(lacking[0]);
  const auto why = comm::broadcast_text(world, mine.text, first);
  if (asked == "cuda") {
    throw Error(ErrorCode::device,
                fmt::format("device = cuda: rank {} has no GPU to place tensors on: {}; give auto "
                            "or host, or run it where every rank has one",
                            first, why),
                first);
  }
  if (mine.number < 0) return mine;
  return on_host(fmt::format("as rank {} has no GPU: {}", first, why));
}

}  // namespace faro::loader
