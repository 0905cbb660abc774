#include "loader/placing.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <numeric>
#include <sstream>

#include "base/error.hpp"
#include "base/runtime.hpp"
#include "comm/mpi.hpp"
#include "exchange/arena.hpp"
#include "telemetry/huge_pages.hpp"

namespace faro::loader {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// Looked at once: hwloc takes tens of milliseconds for it.
const topology::Topology& this_machine() {
  static const auto topology = topology::Topology::detect();
  return topology;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

/// The GPUs that this process may use; nothing where none are hidden from it.
std::optional<std::vector<std::size_t>> own_gpus(const topology::Machine& machine,
                                                 const cuda::Backend& backend) {
  if (machine.gpus.empty()) return std::nullopt;
  if (backend.usable) return topology::gpus_at(machine, backend.bus_ids);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible != nullptr ? topology::visible_gpus(machine, visible) : std::nullopt;
}

// What a rank tells the others: its local number, how many GPUs it may use (none_hidden: all), the
// GPUs, and its processors.
constexpr std::uint32_t none_hidden = UINT32_MAX;

std::vector<std::uint32_t> encode(int local, const topology::LocalRank& rank) {
  std::vector<std::uint32_t> words{static_cast<std::uint32_t>(local), none_hidden};
  if (rank.gpus) {
    words[1] = static_cast<std::uint32_t>(rank.gpus->size());
    for (const auto gpu : *rank.gpus) words.push_back(static_cast<std::uint32_t>(gpu));
  }
  words.insert(words.end(), rank.cpus.begin(), rank.cpus.end());
  return words;
}

topology::LocalRank decode(std::span<const std::uint32_t> words) {
  topology::LocalRank rank;
  const auto gpus = words[1] == none_hidden ? 0 : words[1];
  if (words[1] != none_hidden) {
    rank.gpus.emplace(words.begin() + 2, words.begin() + 2 + gpus);
  }
  rank.cpus.insert(words.begin() + 2 + gpus, words.end());
  return rank;
}

/// Every rank's words, in rank order.
std::vector<std::vector<std::uint32_t>> all_words(comm::Communicator& node,
                                                  std::vector<std::uint32_t> mine) {
  const auto ranks = static_cast<std::size_t>(node.size());
  std::array<std::uint64_t, 1> longest{mine.size()};
  node.all_reduce(longest, comm::Op::max);
  mine.insert(mine.begin(), static_cast<std::uint32_t>(mine.size()));
  mine.resize(longest[0] + 1);
  const auto bytes = node.all_gather(std::as_bytes(std::span(mine)));
  std::vector<std::uint32_t> gathered(mine.size() * ranks);
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(gathered)).begin());
  std::vector<std::vector<std::uint32_t>> all;
  for (auto at = gathered.begin(); at != gathered.end(); at += std::ssize(mine)) {
    all.emplace_back(at + 1, at + 1 + *at);
  }
  return all;
}

}  // namespace

NodeRanks inspect_node(comm::Communicator& node, const cuda::Backend& backend) {
  std::optional<topology::Topology> topology;
  // A line with the GPUs that any rank sees, a sign whether the machine is this one, and its XML.
  const auto seen = fmt::format("{} ", fmt::join(backend.bus_ids, " "));
  std::string text;
  for (const auto& bytes : node.gather(std::as_bytes(std::span(seen)), 0)) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  comm::together(node, [&] {
    if (node.rank() != 0) return;
    topology = this_machine();
    text += (topology->here() ? "\n+" : "\n-") + topology->xml();
  });
  text = comm::broadcast_text(node, text, 0);
  const auto line = text.find('\n');
  topology::Machine machine;
  topology::LocalRank own;
  comm::together(node, [&] {
    if (!topology)
      topology = topology::Topology::parse(text.substr(line + 2), text[line + 1] == '+');
    machine = topology->machine();
    topology::add_gpus(machine, words_of(text.substr(0, line)));
    own = {topology->allowed(), own_gpus(machine, backend)};
  });
  const auto words = all_words(node, encode(comm::launcher_local_rank(), own));
  std::vector<std::size_t> order(words.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return words[a][0] < words[b][0]; });
  NodeRanks found{*topology, std::move(machine), {}, 0};
  for (const auto rank : order) {
    if (rank == static_cast<std::size_t>(node.rank())) found.mine = found.ranks.size();
    found.ranks.push_back(decode(words[rank]));
  }
  return found;
}

Locality in_words(const topology::Machine& machine, const topology::Placement& place,
                  const DeviceChoice& device) {
  const auto set = [](const topology::CpuSet& cpus) {
    return cpus.empty() ? std::string() : topology::to_string(cpus);
  };
  Locality words;
  words.node = machine.name;
  words.cpus = set(place.cpus);
  words.fetch_cpus = set(place.fetch);
  words.exchange_cpus = set(place.communication);
  if (place.numa) words.numa = static_cast<int>(machine.numa[*place.numa].number);
  if (place.gpu) words.gpu = machine.gpus[*place.gpu].bus_id;
  if (place.nic) words.nic = machine.nics[*place.nic].name;
  words.notes = place.notes;
  words.device = device.text;
  if (!device.text.empty()) words.path = path_to(device);
  return words;
}

Placing::Placing(const Config& config, comm::Communicator& world, bool shared_arena) {
  if (runtime() != nullptr) return;  // a simulated job has no machine
  const bool asked = config.bind != "none";
  if (asked) {
    const auto node = world.split_by_node(0);
    try {
      const auto found = inspect_node(*node);
      place_ = topology::place(found.machine, found.ranks)[found.mine];
      topology_ = found.topology;
      locality_ = in_words(found.machine, place_, device_of(found.machine, place_, cuda::probe()));
      locality_.fetch_cpus.clear();  // not yet
      locality_.exchange_cpus.clear();
      locality_.numa = -1;
    } catch (const Error& error) {
      note(fmt::format("the machine is not known: {}", error.what()));
    }
  } else {
    note("bind = none: nothing is bound");
  }
  locality_.node = host_name();
  const auto pages = shared_arena ? telemetry::shared_huge_pages(exchange::shared_space().directory)
                                  : telemetry::private_huge_pages();
  locality_.huge_pages = pages.given;
  note(fmt::format("{} huge pages for the arena: {}", pages.given ? "there are" : "no", pages.why));
}

void Placing::note(const std::string& text) {
  const std::scoped_lock lock(mutex_);
  locality_.notes.push_back(text);
}

void Placing::bind(const topology::CpuSet& cpus, const char* what,
                   std::string Locality::*told) noexcept {
  if (!topology_ || cpus.empty()) return;
  if (const auto problem = topology_->bind_thread(cpus)) {
    note(fmt::format("the {} thread could not be bound: {}", what, *problem));
    return;
  }
  const std::scoped_lock lock(mutex_);
  locality_.*told = topology::to_string(cpus);
}

void Placing::bind_fetch() noexcept {
  bind(place_.fetch, "fetch", &Locality::fetch_cpus);
}

void Placing::bind_exchange() noexcept {
  bind(place_.communication, "exchange", &Locality::exchange_cpus);
}

void Placing::consumer_is_here() noexcept {
  if (place_.keeps_off) consumer_cpu_ = sched_getcpu();
}

void Placing::keep_off_consumer() noexcept {
  const int consumer = consumer_cpu_;
  if (consumer < 0 || consumer != sched_getcpu()) return;
  const auto cpu = static_cast<unsigned>(consumer);
  auto others = place_.cpus;
  for (const auto& core : topology_->machine().cores) {
    if (!core.contains(cpu)) continue;
    for (const auto sibling : core) others.erase(sibling);
  }
  if (!others.empty()) static_cast<void>(topology_->bind_thread(others));
}

void Placing::unbind() noexcept {
  if (topology_ && !place_.fetch.empty()) (void)topology_->bind_thread(place_.cpus);
}

void Placing::prepare(std::span<std::byte> memory) noexcept {
  // With one NUMA node there is nothing to prefer.
  if (!topology_ || !place_.numa || topology_->machine().numa.size() < 2) return;
  if (const auto problem = topology_->prefer(memory, *place_.numa)) {
    note(fmt::format("the arena's memory comes from where it is touched first: {}", *problem));
    return;
  }
  const std::scoped_lock lock(mutex_);
  locality_.numa = static_cast<int>(topology_->machine().numa[*place_.numa].number);
}

Locality Placing::locality() const {
  const std::scoped_lock lock(mutex_);
  return locality_;
}

}  // namespace faro::loader
