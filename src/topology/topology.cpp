#include "topology/topology.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <type_traits>

#include "base/error.hpp"
#include "base/huge_pages.hpp"
#include "topology/hwloc_machine.hpp"

namespace faro::topology {
namespace {

struct Destroy {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
  void operator()(hwloc_bitmap_t bits) const { hwloc_bitmap_free(bits); }
};
template <class Pointer>
using Owned = std::unique_ptr<std::remove_pointer_t<Pointer>, Destroy>;

// What an XML of a large node takes is a few MiB.
constexpr std::uint64_t most_xml = 256U << 20;

Owned<hwloc_topology_t> make() {
  hwloc_topology_t raw = nullptr;
  check(hwloc_topology_init(&raw) == 0, ErrorCode::internal, "hwloc_topology_init failed");
  Owned<hwloc_topology_t> topology(raw);
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  return topology;
}

Owned<hwloc_bitmap_t> to_hwloc(const CpuSet& cpus) {
  Owned<hwloc_bitmap_t> bits(hwloc_bitmap_alloc());
  for (const unsigned cpu : cpus) hwloc_bitmap_set(bits.get(), cpu);
  return bits;
}

/// Loads with flags: the whole machine, whatever a cgroup leaves of it, so that all ranks of a node
/// see the same.
bool load_tree(hwloc_topology_t topology, unsigned long flags) {
  hwloc_topology_set_flags(topology, flags | HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  return hwloc_topology_load(topology) == 0;
}

}  // namespace

struct Topology::State {
  explicit State(Owned<hwloc_topology_t> loaded)
      : tree(std::move(loaded)),
        machine(read_machine(tree.get())),
        here(hwloc_topology_is_thissystem(tree.get()) != 0) {}

  Owned<hwloc_topology_t> tree;
  Machine machine;
  bool here;
};

Topology Topology::detect() {
  const char* file = std::getenv("HWLOC_XMLFILE");
  // hwloc itself would pass over one that it cannot read.
  if (file != nullptr && *file != '\0') return load(file);
  auto tree = make();
  check(load_tree(tree.get(), 0), ErrorCode::internal, "hwloc cannot tell what this machine is: {}",
        std::strerror(errno));
  return Topology(std::make_shared<const State>(std::move(tree)));
}

Topology Topology::load(const std::string& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  check(!error, ErrorCode::not_found, "{}: cannot be read: {}", file, error.message());
  check(size <= most_xml, ErrorCode::format, "{}: {} bytes are no description of a machine", file,
        size);
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  check(in.good() && !text.str().empty(), ErrorCode::format,
        "{}: is empty or cannot be read: it must be what `lstopo machine.xml` writes", file);
  const char* same = std::getenv("HWLOC_THISSYSTEM");
  try {
    return parse(text.str(), same != nullptr && std::strcmp(same, "1") == 0);
  } catch (const Error& problem) {
    fail(problem.code(), "{}: {}", file, problem.what());
  }
}

Topology Topology::parse(const std::string& xml, bool same) {
  auto tree = make();
  // The length counts the terminating zero.
  const bool read =
      hwloc_topology_set_xmlbuffer(tree.get(), xml.c_str(), narrow<int>(xml.size() + 1)) == 0;
  check(read && load_tree(tree.get(), same ? HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM : 0),
        ErrorCode::format, "is no machine that hwloc {} can read: write one by `lstopo FILE.xml`",
        HWLOC_VERSION);
  auto state = std::make_shared<const State>(std::move(tree));
  check(!state->machine.cores.empty(), ErrorCode::format, "is a machine without processors");
  return Topology(std::move(state));
}

const Machine& Topology::machine() const noexcept {
  return state_->machine;
}

std::string Topology::xml() const {
  char* text = nullptr;
  int length = 0;
  check(hwloc_topology_export_xmlbuffer(state_->tree.get(), &text, &length, 0) == 0,
        ErrorCode::internal, "hwloc cannot write the machine down: {}", std::strerror(errno));
  std::string xml(text);
  hwloc_free_xmlbuffer(state_->tree.get(), text);
  return xml;
}

bool Topology::here() const noexcept {
  return state_->here;
}

CpuSet Topology::allowed() const {
  const Owned<hwloc_bitmap_t> bits(hwloc_bitmap_alloc());
  // Of all threads: OpenMP may have bound this one to a core of its own.
  const bool known =
      here() && hwloc_get_cpubind(state_->tree.get(), bits.get(), HWLOC_CPUBIND_PROCESS) == 0;
  return known ? common(from_hwloc(bits.get()), machine().cpus) : machine().cpus;
}

std::optional<std::string> Topology::bind_thread(const CpuSet& cpus) const {
  if (!here()) return "another machine's topology was loaded";
  const auto bits = to_hwloc(cpus);
  if (hwloc_set_cpubind(state_->tree.get(), bits.get(), HWLOC_CPUBIND_THREAD) == 0) {
    return std::nullopt;
  }
  return fmt::format("cpus {}: {}", to_string(cpus), std::strerror(errno));
}

std::optional<std::string> Topology::prefer(std::span<std::byte> memory, std::size_t numa) const {
  if (!here()) return "another machine's topology was loaded";
  const auto number = machine().numa.at(numa).number;
  const auto pages = whole_pages(memory);
  if (pages.empty()) return std::nullopt;
  const Owned<hwloc_bitmap_t> nodes(hwloc_bitmap_alloc());
  hwloc_bitmap_only(nodes.get(), number);
  // Without HWLOC_MEMBIND_STRICT it is a preference.
  if (hwloc_set_area_membind(state_->tree.get(), pages.data(), pages.size(), nodes.get(),
                             HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_BYNODESET) == 0) {
    return std::nullopt;
  }
  return fmt::format("NUMA node {}: {}", number, std::strerror(errno));
}

}  // namespace faro::topology
