#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "comm/mpi.hpp"
#include "cuda/backend.hpp"
#include "exchange/arena.hpp"
#include "loader/device_messages.hpp"
#include "loader/placing.hpp"
#include "telemetry/huge_pages.hpp"

namespace faro::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t most_ranks = 4096;

struct Asked {
  std::string xml;
  std::uint64_t ranks = 0;
  std::string bound = "none";
  std::string report;
};

Json to_json(const topology::Machine& machine) {
  const auto devices = [](const std::vector<topology::Device>& all) {
    auto list = Json::array();
    for (const auto& one : all) {
      list.push_back(
          {{"name", one.name}, {"bus_id", one.bus_id}, {"cpus", topology::to_string(one.cpus)}});
    }
    return list;
  };
  auto numa = Json::array();
  for (const auto& node : machine.numa) {
    numa.push_back(
        {{"number", node.number}, {"bytes", node.bytes}, {"cpus", topology::to_string(node.cpus)}});
  }
  auto nics = devices(machine.nics);
  for (std::size_t i = 0; i < machine.nics.size(); ++i) nics[i]["up"] = machine.nics[i].up;
  return {{"cpus", topology::to_string(machine.cpus)},
          {"packages", machine.packages.size()},
          {"cores", machine.cores.size()},
          {"numa", numa},
          {"gpus", devices(machine.gpus)},
          {"nics", nics},
          {"disks", devices(machine.disks)}};
}

/// What the system of this node adds to its parts.
Json software() {
  const auto pages = [](const telemetry::HugePages& huge) {
    return Json{{"given", huge.given}, {"why", huge.why}};
  };
  return {{"cuda", cuda::probe().why},
          {"huge_pages",
           {{"private", pages(telemetry::private_huge_pages())},
            {"shared", pages(telemetry::shared_huge_pages(exchange::shared_space().directory))}}}};
}

/// Collective: the job's nodes with their ranks, on rank 0.
Json nodes_of(comm::Communicator& comm, bool bind) {
  const auto node = comm.split_by_node(0);
  Json mine;
  comm::together(comm, [&] {  // its collectives are the node's, and end together
    const auto found = loader::inspect_node(*node);
    const auto placed = topology::place(found.machine, found.ranks, bind)[found.mine];
    const auto device = loader::device_of(found.machine, placed, cuda::probe());
    const auto words = loader::in_words(found.machine, placed, device);
    mine["rank"] = rank_json(static_cast<std::uint64_t>(comm.rank()), words);
    if (node->rank() == 0) {
      mine["node"] = words.node;
      mine["parts"] = to_json(found.machine);
      mine["software"] = software();
    }
    loader::OpenDevice open;
    if (device.number >= 0) open = [number = device.number] { return cuda::open_device(number); };
    std::vector<int> senders(static_cast<std::size_t>(node->size()), -1);
    if (senders.size() > 1) senders[1] = 0;
    const auto messages = loader::try_device_messages(*node, comm::mpi_says_cuda(), open, senders);
    if (node->rank() == 0) mine["software"]["mpi_device_memory"] = messages.text;
  });
  std::array<std::uint64_t, 1> first{static_cast<std::uint64_t>(comm.rank())};
  node->all_reduce(first, comm::Op::min);
  mine["first"] = first[0];
  const auto text = mine.dump();
  std::map<std::uint64_t, Json> nodes;  // by their first rank
  for (const auto& bytes : comm.gather(std::as_bytes(std::span(text)), 0)) {
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    auto one = Json::parse(begin, begin + bytes.size());
    auto& entry = nodes[one["first"]];
    if (one.contains("parts")) {
      entry["node"] = one["node"];
      entry.update(one["parts"]);
      entry.update(one["software"]);
      entry["ranks"] = Json::array();
    }
    entry["ranks"].push_back(one["rank"]);
  }
  auto list = Json::array();
  for (auto& [rank, entry] : nodes) list.push_back(std::move(entry));
  return list;
}

/// A node that has `ranks` ranks, each bound in turn to one of the parts that `bound` names.
Json imagined(const Asked& asked, std::uint64_t ranks, bool bind) {
  check(ranks >= 1 && ranks <= most_ranks, ErrorCode::invalid_argument,
        "--ranks {} is out of range: it must be from 1 to {}", ranks, most_ranks);
  const auto topology =
      asked.xml.empty() ? topology::Topology::detect() : topology::Topology::load(asked.xml);
  const auto& machine = topology.machine();
  std::vector<topology::CpuSet> parts{machine.cpus};
  if (asked.bound == "core") parts = machine.cores;
  if (asked.bound == "package" && !machine.packages.empty()) parts = machine.packages;
  if (asked.bound == "numa") {
    parts.clear();
    for (const auto& node : machine.numa) parts.push_back(node.cpus);
  }
  std::vector<topology::LocalRank> local;
  for (std::uint64_t i = 0; i < ranks; ++i) local.push_back({parts[i % parts.size()], {}});
  Json node{{"node", machine.name}};
  node.update(to_json(machine));
  if (topology.here()) node.update(software());
  std::uint64_t rank = 0;
  for (const auto& place : topology::place(machine, local, bind)) {
    node["ranks"].push_back(rank_json(rank++, loader::in_words(machine, place)));
  }
  return Json::array({node});
}

/// What directs MPI to its transports, as far as the environment does.
Json mpi_of(comm::Communicator& comm) {
  auto told = Json::object();
  for (const char* name : {"OMPI_MCA_pml", "OMPI_MCA_btl", "OMPI_MCA_mtl", "UCX_TLS",
                           "UCX_NET_DEVICES", "OMPI_MCA_btl_tcp_if_include", "FI_PROVIDER"}) {
    if (const char* value = std::getenv(name)) told[name] = value;
  }
  return {{"library", comm::mpi_library()}, {"threads", comm.concurrent()}, {"environment", told}};
}

/// "mlx5_0, mlx5_1 near cpus 0-15; mlx5_2 near cpus 16-31".
std::string names(const Json& devices) {
  std::vector<std::pair<std::string, std::string>> by_cpus;
  for (const auto& device : devices) {
    const auto cpus = device["cpus"].get<std::string>();
    auto at = std::find_if(by_cpus.begin(), by_cpus.end(),
                           [&](const auto& one) { return one.first == cpus; });
    if (at == by_cpus.end()) at = by_cpus.emplace(at, cpus, "");
    at->second += (at->second.empty() ? "" : ", ") + device["name"].get<std::string>();
    if (!device.value("up", true)) at->second += " (down)";
  }
  std::string text;
  for (const auto& [cpus, list] : by_cpus) {
    text += fmt::format("{}{} near cpus {}", text.empty() ? "" : "; ", list, cpus);
  }
  return text.empty() ? "none" : text;
}

std::string describe_node(const Json& node) {
  const auto count = [&](const char* key) {
    const auto number = node[key].get<std::size_t>();
    return fmt::format("{} {}", number, number == 1 ? std::string(key, std::strlen(key) - 1) : key);
  };
  auto text = fmt::format("{}: {}, {}, cpus {}\n", node["node"].get<std::string>(),
                          count("packages"), count("cores"), node["cpus"].get<std::string>());
  const auto row = [&](const char* name, const std::string& value) {
    text += fmt::format("  {:<12}{}\n", name, value);
  };
  std::string memory;
  for (const auto& numa : node["numa"]) {
    memory += fmt::format("{}NUMA {} with {} near cpus {}", memory.empty() ? "" : "; ",
                          numa["number"].get<unsigned>(), human_bytes(numa["bytes"].get<double>()),
                          numa["cpus"].get<std::string>());
  }
  row("memory", memory);
  row("NICs", names(node["nics"]));
  row("GPUs", names(node["gpus"]));
  if (node.contains("cuda")) row("CUDA", node["cuda"]);
  if (node.contains("mpi_device_memory")) row("GPU by MPI", node["mpi_device_memory"]);
  row("disks", names(node["disks"]));
  if (node.contains("huge_pages")) {
    for (const char* kind : {"private", "shared"}) {
      const auto& pages = node["huge_pages"][kind];
      row("huge pages", fmt::format("{} for {} memory: {}", pages["given"] ? "yes" : "no", kind,
                                    pages["why"].get<std::string>()));
    }
  }
  const std::array<const char*, 7> heads{"rank", "cpus",  "arena",   "GPU",
                                         "NIC",  "fetch", "exchange"};
  std::vector<std::array<std::string, 7>> table{{}};
  std::copy(heads.begin(), heads.end(), table[0].begin());
  std::vector<std::pair<std::string, topology::CpuSet>> notes;  // with the ranks they are about
  for (const auto& rank : node["ranks"]) {
    const auto or_else = [&](const char* key, const char* none) {
      const auto value = rank[key].get<std::string>();
      return value.empty() ? std::string(none) : value;
    };
    const int numa = rank["numa"];
    table.push_back({fmt::format("{}", rank["rank"].get<unsigned>()), or_else("cpus", "-"),
                     numa >= 0 ? fmt::format("NUMA {}", numa) : "anywhere", or_else("gpu", "-"),
                     or_else("nic", "-"), or_else("fetch_cpus", "not bound"),
                     or_else("exchange_cpus", "not bound")});
    auto lines = rank["notes"];
    for (const auto& [key, head] : {std::pair("device", "tensors: "), std::pair("path", "")}) {
      const auto said = rank[key].get<std::string>();
      if (!said.empty()) lines.push_back(head + said);
    }
    for (const auto& line : lines) {
      const auto said = line.get<std::string>();
      auto at = std::find_if(notes.begin(), notes.end(),
                             [&](const auto& one) { return one.first == said; });
      if (at == notes.end()) at = notes.emplace(at, said, topology::CpuSet());
      at->second.insert(rank["rank"].get<unsigned>());
    }
  }
  std::array<std::size_t, 7> widths{};
  for (const auto& line : table) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  for (const auto& line : table) {
    std::string cells = " ";
    for (std::size_t i = 0; i < line.size(); ++i) {
      cells += fmt::format(" {:<{}}", line[i], widths[i] + (i + 1 < line.size() ? 1 : 0));
    }
    text += cells.substr(0, cells.find_last_not_of(' ') + 1) + '\n';
  }
  for (const auto& [note, ranks] : notes) {
    text += fmt::format("  rank{} {}: {}\n", ranks.size() == 1 ? "" : "s",
                        topology::to_string(ranks), note);
  }
  return text;
}

void print(const Json& json) {
  std::string told;
  for (const auto& [name, value] : json["mpi"]["environment"].items()) {
    told += fmt::format("; {}={}", name, value.get<std::string>());
  }
  fmt::print("MPI: {}, {}{}\n", json["mpi"]["library"].get<std::string>(),
             json["mpi"]["threads"] ? "the exchange has a thread of its own"
                                    : "less than MPI_THREAD_MULTIPLE: the exchange has no thread",
             told);
  for (const auto& node : json["nodes"]) fmt::print("{}", describe_node(node));
}

}  // namespace

void add_topo(CLI::App& app, Action& chosen) {
  auto* command =
      app.add_subcommand("topo", "Show each node, and where the ranks on it would work");
  command->footer(
      "\nFor every rank: the cpus that the launcher has left it, the NUMA node that its part of "
      "the arena\n"
      "comes from, the GPU and the NIC nearest to it, the cores that its fetch and exchange "
      "threads are\n"
      "bound to, and why. Start it as the job itself will be started:\n"
      "  mpirun -n 8 --map-by socket --bind-to socket faro topo\n"
      "  srun -N 2 --ntasks-per-node 8 --mpi=pmix faro topo --report topo.json\n"
      "For a machine that this is not, write one there by `lstopo machine.xml`:\n"
      "  faro topo --xml machine.xml --ranks 8 --bound numa\n");
  auto config = std::make_shared<Config>();
  auto asked = std::make_shared<Asked>();
  auto settings = only(config::describe(*config), {"bind"});
  const std::string group = "Topology";
  settings.push_back({"xml", "FILE", "the machine of an hwloc XML instead of this job's nodes",
                      [asked](std::string_view v) { asked->xml = v; }, group});
  settings.push_back({"ranks", "N", "place that many ranks on one node [the job's ranks]",
                      [asked](std::string_view v) {
                        asked->ranks = config::parse_count(v);
                        check(asked->ranks > 0, ErrorCode::invalid_argument, "give at least 1");
                      },
                      group});
  settings.push_back({"bound", "none|core|numa|package",
                      "with --xml or --ranks: what the launcher binds each rank to, in turn [none]",
                      [asked](std::string_view v) {
                        check(v == "none" || v == "core" || v == "numa" || v == "package",
                              ErrorCode::invalid_argument,
                              "'{}' is unknown: give none, core, numa or package", v);
                        asked->bound = v;
                      },
                      group});
  settings.push_back({"report", "FILE", "the same as JSON",
                      [asked](std::string_view v) { asked->report = v; }, group});
  auto options = std::make_shared<Options>(*command, settings);
  command->callback([config, asked, options, &chosen] {
    chosen = [config, asked, options] {
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      const bool bind = config->bind != "none";
      Json json{{"faro", FARO_VERSION}, {"mpi", mpi_of(*comm)}};
      if (asked->xml.empty() && asked->ranks == 0) json["nodes"] = nodes_of(*comm, bind);
      comm::together(*comm, [&] {
        check(config->bind == "auto" || !bind, ErrorCode::invalid_argument,
              "bind = '{}' is unknown: give auto or none", config->bind);
        if (comm->rank() != 0) return;
        const auto job = static_cast<std::uint64_t>(comm->size());
        if (!json.contains("nodes")) {
          json["nodes"] = imagined(*asked, asked->ranks > 0 ? asked->ranks : job, bind);
        }
        print(json);
        if (!asked->report.empty()) write_json(asked->report, json);
      });
      return 0;
    };
  });
}

}  // namespace faro::cli
