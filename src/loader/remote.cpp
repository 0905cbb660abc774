#include "loader/remote.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.hpp"
#include "exchange/message.hpp"
#include "order/order.hpp"

namespace faro::loader {
namespace {

constexpr std::uint64_t page = 4096;
// A piece is packed while others are on their way. Long enough for TCP's best rate by hosts_limit.
constexpr std::uint64_t piece_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t pieces_under_way = 4;
// Of a sample that this rank sends: its place, sorted by position; and while its round is sent its
// parcel, its size and the piece of the message.
constexpr std::uint64_t known_bytes = 24;
constexpr std::uint64_t parcel_bytes = 24 + 8 + 16;
// For a device also what of it is hidden, and two pieces for what is not.
constexpr std::uint64_t apart_bytes = sizeof(exchange::Hidden) + 2 * 16;

std::uint64_t local_samples(const Config& config, const Machine& machine, std::uint64_t steps) {
  return checked_mul((config.global_batch + machine.ranks - 1) / machine.ranks, steps);
}

std::uint64_t groups(const Remote& remote, const Machine& machine) {
  if (remote.way == exchange::Way::direct) return machine.ranks;
  // Not more than if all nodes were as small as the smallest.
  return (machine.ranks + machine.smallest_group - 1) / machine.smallest_group;
}

exchange::Arrivals::Shape arrivals(const Remote& remote, const manifest::Manifest& manifest,
                                   const Config& config, const Machine& machine,
                                   std::uint64_t steps, std::uint64_t members) {
  const auto local = local_samples(config, machine, 1);
  const auto samples = checked_mul(members, local_samples(config, machine, steps));
  auto payload = manifest.sizes.largest(samples);
  const order::Steps all(manifest.samples, config.global_batch, machine.ranks, config.end);
  const auto real = all.delivered() % config.global_batch;
  if (config.end == EndPolicy::pad && real > 0) {
    // Pads repeat the last step's samples: each of a rank's slots may hold one of the largest.
    const auto times = (config.global_batch + real - 1) / real;
    payload += checked_mul(times, manifest.sizes.largest((members * local + times - 1) / times));
  }
  const auto lanes = groups(remote, machine) * remote.parts;
  // Of a message: header and sections, and what room for it, and its samples' for a device, is
  // rounded up by.
  const auto messages = std::min(lanes, samples);
  const auto head = sizeof(exchange::MessageHeader) + 64 + exchange::apart_alignment;
  // For a device: its samples' places in the host's memory, what the host sees of them, and of
  // each which part that is.
  if (machine.device_arrivals) {
    payload = checked_add(checked_mul(payload, 2), samples * sizeof(exchange::Hidden));
  }
  const auto sections = (members + remote.parts - 1) / remote.parts * sizeof(exchange::Section);
  return {config.leases + 1,
          align_up(payload + samples * sizeof(std::uint64_t) + messages * (head + sections), page),
          lanes};
}

}  // namespace

std::vector<std::uint32_t> map_nodes(comm::Communicator& world, comm::Communicator& node) {
  std::array<std::uint64_t, 1> first{static_cast<std::uint64_t>(world.rank())};
  node.all_reduce(first, comm::Op::min);
  const std::array<std::uint32_t, 1> mine{static_cast<std::uint32_t>(first[0])};
  const auto bytes = world.all_gather(std::as_bytes(std::span(mine)));
  std::vector<std::uint32_t> nodes(static_cast<std::size_t>(world.size()));
  std::memcpy(nodes.data(), bytes.data(), bytes.size());
  return nodes;
}

Remote plan_remote(const manifest::Manifest& manifest, const Config& config, const Machine& machine,
                   std::uint64_t steps) {
  Remote remote;
  const auto local = local_samples(config, machine, steps);
  const double mean = static_cast<double>(manifest.bytes) /
                      static_cast<double>(std::max<std::uint64_t>(manifest.samples, 1));
  const exchange::Shape shape{mean, local, machine.ranks, machine.largest_node};
  remote.way = config.exchange == "gathered" ? exchange::Way::gathered
               : config.exchange == "direct" ? exchange::Way::direct
               : machine.device_arrivals     ? exchange::Way::direct
                                             : exchange::choose_way(shape);
  const bool gathered = remote.way == exchange::Way::gathered;
  remote.direct_bytes = remote.message_bytes = exchange::expected_message(shape, 1, 1);
  if (gathered) {
    remote.parts = std::min(exchange::choose_parts(shape), machine.smallest_group);
    remote.message_bytes = exchange::expected_message(
        shape, machine.largest_node, (machine.largest_node + remote.parts - 1) / remote.parts);
  }
  remote.arrivals =
      arrivals(remote, manifest, config, machine, steps, gathered ? machine.own_group : 1);
  remote.piece_bytes = piece_bytes;
  // A ring for all that a round can send is as good as a larger one.
  const auto round = std::min(manifest.samples, checked_mul(config.global_batch, steps));
  remote.send_bytes = std::clamp(align_up(2 * manifest.sizes.largest(round) + 64 * round, page),
                                 std::uint64_t{64} << 10, pieces_under_way * piece_bytes);
  remote.usual_bytes = static_cast<std::uint64_t>(mean * static_cast<double>(local));
  return remote;
}

RemoteBytes bytes_of(const Remote& remote, const manifest::Manifest& manifest, const Config& config,
                     const Machine& machine, std::uint64_t steps, std::uint64_t samples) {
  RemoteBytes bytes;
  // The bytes of the k largest samples grow less than k: the smallest node's share is the largest.
  for (const std::uint64_t members : {machine.smallest_group, machine.largest_node}) {
    const auto group = remote.way == exchange::Way::gathered ? members : 1;
    const auto all = exchange::Arrivals::footprint(
        arrivals(remote, manifest, config, machine, steps, group), group);
    auto& kind = group > 1 ? bytes.shared : bytes.private_;
    kind = std::max(kind, (all + group - 1) / group);
  }
  // Lanes are dealt over a group's ranks; where there are few, some ranks have more than others.
  std::uint64_t share = 1;
  if (remote.way == exchange::Way::gathered) {
    const std::uint64_t members = machine.largest_node;
    const auto lanes =
        std::max<std::uint64_t>(((machine.ranks + members - 1) / members - 1) * remote.parts, 1);
    share =
        std::max<std::uint64_t>(((lanes + members - 1) / members * members + lanes - 1) / lanes, 1);
  }
  bytes.private_ += remote.send_bytes;
  bytes.private_ += checked_mul(share, samples * known_bytes);
  const auto each = parcel_bytes + (machine.device_arrivals ? apart_bytes : 0);
  bytes.private_ += checked_mul(share, local_samples(config, machine, steps) * each);
  return bytes;
}

}  // namespace faro::loader
