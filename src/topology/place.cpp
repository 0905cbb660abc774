// Who gets what of a node. Plain arithmetic on a Machine: nothing is asked of the system.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "topology/topology.hpp"

namespace faro::topology {
namespace {

using Index = std::size_t;

/// Indices of the sets that have something in common with `cpus`.
std::vector<Index> touched(const std::vector<CpuSet>& sets, const CpuSet& cpus) {
  std::vector<Index> found;
  for (Index i = 0; i < sets.size(); ++i) {
    const auto& set = sets[i];
    if (std::any_of(set.begin(), set.end(), [&](unsigned cpu) { return cpus.contains(cpu); })) {
      found.push_back(i);
    }
  }
  return found;
}

std::vector<CpuSet> numa_sets(const Machine& machine) {
  std::vector<CpuSet> sets;
  for (const auto& node : machine.numa) sets.push_back(node.cpus);
  return sets;
}

/// 0, 1, 2, ... in ascending order of key(i), equals in their own order.
template <class Key>
std::vector<Index> sorted_by(Index count, Key key) {
  std::vector<Index> order(count);
  std::iota(order.begin(), order.end(), Index{0});
  std::vector<decltype(key(Index{0}))> keys;
  std::transform(order.begin(), order.end(), std::back_inserter(keys), key);
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return keys[a] < keys[b]; });
  return order;
}

class Placer {
 public:
  Placer(const Machine& machine, std::span<const LocalRank> ranks)
      : machine_(machine), ranks_(ranks), numa_(numa_sets(machine)), placed_(ranks.size()) {}

  std::vector<Placement> place(bool bind) {
    allow();
    give_gpus();
    give_nics();
    give_homes();
    if (bind) {
      for (const auto& group : groups()) bind_group(group);
    } else {
      for (auto& one : placed_) one.notes.push_back("bind = none: threads are not bound");
    }
    give_memory();
    return std::move(placed_);
  }

 private:
  void allow();
  void give_gpus();
  void give_nics();
  void give_homes();
  void bind_group(const std::vector<Index>& group);
  void give_memory();
  [[nodiscard]] std::vector<std::vector<Index>> groups() const;
  [[nodiscard]] std::string bound_to(const CpuSet& cpus) const;
  [[nodiscard]] bool apart(const CpuSet& a, const CpuSet& b) const {
    return common(a, b).empty() && touched(numa_, a) != touched(numa_, b);
  }

  const Machine& machine_;
  std::span<const LocalRank> ranks_;
  std::vector<CpuSet> numa_;
  std::vector<Placement> placed_;
  std::vector<std::optional<Index>> home_;  // NUMA node, by rank
  std::vector<std::vector<Index>> cores_;   // that it may use, by rank
};

std::string Placer::bound_to(const CpuSet& cpus) const {
  const auto cores = touched(machine_.cores, cpus);
  if (cpus == machine_.cpus) return "not bound by the launcher";
  if (cores.size() == 1) return fmt::format("bound by the launcher to core {}", cores[0]);
  for (const auto& node : machine_.numa) {
    if (node.cpus == cpus) return fmt::format("bound by the launcher to NUMA node {}", node.number);
  }
  for (Index i = 0; i < machine_.packages.size(); ++i) {
    if (machine_.packages[i] == cpus) return fmt::format("bound by the launcher to package {}", i);
  }
  return fmt::format("bound by the launcher to {} of {} cores", cores.size(),
                     machine_.cores.size());
}

void Placer::allow() {
  for (Index rank = 0; rank < ranks_.size(); ++rank) {
    auto& one = placed_[rank];
    one.cpus = common(ranks_[rank].cpus, machine_.cpus);
    if (one.cpus.empty()) {
      one.cpus = machine_.cpus;
      one.notes.push_back(fmt::format("its cpus {} are none of this machine's: as if not bound",
                                      to_string(ranks_[rank].cpus)));
    } else {
      one.notes.push_back(bound_to(one.cpus));
    }
    cores_.push_back(touched(machine_.cores, one.cpus));
  }
}

void Placer::give_gpus() {
  if (machine_.gpus.empty()) return;
  std::vector<Index> every(machine_.gpus.size());
  std::iota(every.begin(), every.end(), Index{0});
  const auto choice = [&](Index rank) -> const std::vector<Index>& {
    return ranks_[rank].gpus ? *ranks_[rank].gpus : every;
  };
  std::vector<std::vector<Index>> users(machine_.gpus.size());
  // Those with the least choice first: a launcher may have given one GPU to each.
  for (const auto rank : sorted_by(ranks_.size(), [&](Index i) { return choice(i).size(); })) {
    auto& one = placed_[rank];
    const auto& mine = choice(rank);
    if (mine.empty()) {
      one.notes.push_back("sees no GPU (CUDA_VISIBLE_DEVICES)");
      continue;
    }
    const auto cost = [&](Index i) {
      const auto gpu = mine[i];
      return std::pair(users[gpu].size(), apart(machine_.gpus[gpu].cpus, one.cpus));
    };
    const auto best = mine[sorted_by(mine.size(), cost).front()];
    one.gpu = best;
    users[best].push_back(rank);
    if (ranks_[rank].gpus && mine.size() < machine_.gpus.size()) {
      one.notes.push_back(fmt::format("sees {} of {} GPUs", mine.size(), machine_.gpus.size()));
    }
    if (apart(machine_.gpus[best].cpus, one.cpus)) {
      one.notes.push_back("its GPU is near other cpus than its own");
    }
  }
  for (const auto& ranks : users) {
    for (const auto rank : ranks) {
      placed_[rank].gpu_ranks = ranks.size();
      if (ranks.size() < 2) continue;
      placed_[rank].notes.push_back(fmt::format("{} ranks share its GPU", ranks.size()));
    }
  }
}

void Placer::give_nics() {
  const auto& nics = machine_.nics;
  if (nics.empty()) return;
  std::vector<Index> used(nics.size());
  // Ports that are down, and Ethernet where there is a fabric, only if there is nothing else.
  const auto rank_of = [](const Device& nic) { return std::pair(!nic.up, !nic.fabric); };
  const auto worth =
      rank_of(*std::min_element(nics.begin(), nics.end(), [&](const auto& a, const auto& b) {
        return rank_of(a) < rank_of(b);
      }));
  std::vector<Index> usable;
  for (Index i = 0; i < nics.size(); ++i) {
    if (rank_of(nics[i]) == worth) usable.push_back(i);
  }
  for (auto& one : placed_) {
    const auto cost = [&](Index i) {
      const auto& nic = nics[usable[i]];
      std::ptrdiff_t shared = 0;  // bridges with its GPU
      bool far = apart(nic.cpus, one.cpus);
      if (one.gpu) {
        const auto& gpu = machine_.gpus[*one.gpu];
        const auto end = std::mismatch(gpu.bridges.begin(), gpu.bridges.end(), nic.bridges.begin(),
                                       nic.bridges.end());
        shared = end.first - gpu.bridges.begin();
        far = apart(nic.cpus, gpu.cpus);
      }
      return std::tuple(far, -shared, used[usable[i]]);
    };
    one.nic = usable[sorted_by(usable.size(), cost).front()];
    ++used[*one.nic];
    if (apart(nics[*one.nic].cpus, one.cpus)) {
      one.notes.push_back("its NIC is near other cpus than its own");
    }
  }
}

void Placer::give_homes() {
  // Ranks that may run anywhere are dealt over the NUMA nodes, in runs.
  std::map<std::vector<Index>, std::vector<Index>> spread;
  for (Index rank = 0; rank < placed_.size(); ++rank) {
    const auto& one = placed_[rank];
    const auto mine = touched(numa_, one.cpus);
    const auto near = [&](const Device& device) {
      std::vector<Index> both;
      const auto its = touched(numa_, device.cpus);
      std::set_intersection(mine.begin(), mine.end(), its.begin(), its.end(),
                            std::back_inserter(both));
      return its.size() < numa_.size() && !both.empty() ? std::optional(both.front())
                                                        : std::nullopt;
    };
    std::optional<Index> home;
    if (mine.size() == 1) home = mine.front();
    if (!home && one.gpu) home = near(machine_.gpus[*one.gpu]);
    if (!home && one.nic) home = near(machine_.nics[*one.nic]);
    home_.push_back(home);
    if (!home && !mine.empty()) spread[mine].push_back(rank);
  }
  for (const auto& [nodes, ranks] : spread) {
    for (Index i = 0; i < ranks.size(); ++i) {
      home_[ranks[i]] = nodes[i * nodes.size() / ranks.size()];
    }
  }
}

/// Ranks that share processors, directly or through others.
std::vector<std::vector<Index>> Placer::groups() const {
  std::vector<Index> parent(placed_.size());
  std::iota(parent.begin(), parent.end(), Index{0});
  const auto root = [&](Index at) {
    while (parent[at] != at) at = parent[at] = parent[parent[at]];
    return at;
  };
  std::map<Index, Index> user;  // of a core
  for (Index rank = 0; rank < placed_.size(); ++rank) {
    for (const auto core : cores_[rank]) {
      const auto [at, first] = user.emplace(core, rank);
      if (!first) parent[root(rank)] = root(at->second);
    }
  }
  std::map<Index, std::vector<Index>> by_root;
  for (Index rank = 0; rank < placed_.size(); ++rank) by_root[root(rank)].push_back(rank);
  std::vector<std::vector<Index>> all;
  for (auto& [at, ranks] : by_root) all.push_back(std::move(ranks));
  return all;
}

void Placer::bind_group(const std::vector<Index>& group) {
  std::set<Index> free;
  for (const auto rank : group) free.insert(cores_[rank].begin(), cores_[rank].end());
  const auto cores = free.size();
  const auto say = [&](const std::string& note) {
    for (const auto rank : group) placed_[rank].notes.push_back(note);
  };
  const auto count = [](Index number, const char* what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
  };
  const auto too_few = fmt::format("{} for {} of {} busy threads: threads are not bound",
                                   count(cores, "core"), count(group.size(), "rank"), busy_threads);
  if (cores < group.size() * busy_threads) {
    for (const auto rank : group) placed_[rank].keeps_off = cores >= 2 * group.size();
    return say(too_few);
  }

  const auto open = [&](Index rank) {
    std::vector<Index> mine;
    std::copy_if(cores_[rank].rbegin(), cores_[rank].rend(), std::back_inserter(mine),
                 [&](Index core) { return free.contains(core); });
    return mine;
  };
  // Near the NIC first, then near home; the last of them, as programs begin with the first.
  const auto take = [&](Index rank) {
    const auto& one = placed_[rank];
    const auto mine = open(rank);
    const auto far = [&](const CpuSet& from, Index i) {
      return common(from, machine_.cores[mine[i]]).empty();
    };
    const auto cost = [&](Index i) {
      return std::pair(one.nic && far(machine_.nics[*one.nic].cpus, i),
                       home_[rank] && far(numa_[*home_[rank]], i));
    };
    const auto core = mine[sorted_by(mine.size(), cost).front()];
    free.erase(core);
    return core;
  };
  std::vector<std::pair<Index, Index>> taken(group.size());  // communication, fetch
  // Those with the least choice first.
  for (const auto i : sorted_by(group.size(), [&](Index i) { return cores_[group[i]].size(); })) {
    const auto mine = open(group[i]);
    if (mine.size() < busy_threads) {
      return say(
          fmt::format("its cores are shared such that not each of {} has {} to itself: "
                      "threads are not bound",
                      count(group.size(), "rank"), busy_threads));
    }
    free.erase(mine.back());  // the consumer's
    taken[i].first = take(group[i]);
    taken[i].second = take(group[i]);
  }
  for (Index i = 0; i < group.size(); ++i) {
    auto& one = placed_[group[i]];
    one.communication = common(machine_.cores[taken[i].first], one.cpus);
    one.fetch = common(machine_.cores[taken[i].second], one.cpus);
  }
}

void Placer::give_memory() {
  for (Index rank = 0; rank < placed_.size(); ++rank) {
    auto& one = placed_[rank];
    const auto near = touched(numa_, one.fetch.empty() ? one.cpus : one.fetch);
    if (near.size() == 1) one.numa = near.front();
  }
}

}  // namespace

std::vector<Placement> place(const Machine& machine, std::span<const LocalRank> ranks, bool bind) {
  return Placer(machine, ranks).place(bind);
}

}  // namespace faro::topology
