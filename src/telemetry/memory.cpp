#include "telemetry/memory.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

namespace faro::telemetry {
namespace {

/// The kB figure of a line "Name:   123 kB" of a file of /proc, in bytes; 0 where there is none.
std::uint64_t proc_figure(const char* file, const std::string& name) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (line.rfind(name, 0) == 0) return std::stoull(line.substr(name.size())) * 1024;
  }
  return 0;
}

std::uint64_t number_in(const std::string& file, std::uint64_t otherwise) {
  std::uint64_t value = 0;
  return std::ifstream(file) >> value ? value : otherwise;  // "max" is no number
}

/// The figure of a line "name 123" of a memory.stat; 0 where there is none.
std::uint64_t stat_figure(const std::string& file, const std::string& name) {
  std::ifstream in(file);
  std::string word;
  std::uint64_t value = 0;
  while (in >> word >> value) {
    if (word == name) return value;
  }
  return 0;
}

/// What the limits of a cgroup and of all above it leave. File pages that nobody uses are given
/// back when memory is short, so they do not count as used. \param mount of the hierarchy; the
/// other names are those of version 1 or 2 of the interface
std::uint64_t left_in(const std::string& mount, std::string path, const char* limit,
                      const char* usage, const char* inactive) {
  std::uint64_t least = UINT64_MAX;
  for (;;) {
    const std::string group = mount + path;
    const auto most = number_in(group + limit, UINT64_MAX);
    const auto used = number_in(group + usage, 0);
    const auto idle = stat_figure(group + "/memory.stat", inactive);
    const auto taken = used - std::min(used, idle);
    least = std::min(least, most - std::min(most, taken));
    const auto parent = path.find_last_of('/');
    if (parent == std::string::npos || path == "/") return least;
    path.resize(parent);
  }
}

/// The least that any memory limit on this process leaves; the largest number where there is none.
std::uint64_t cgroup_left() {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  std::uint64_t least = UINT64_MAX;
  while (std::getline(self, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, left_in("/sys/fs/cgroup", path, "/memory.max", "/memory.current",
                                      "inactive_file"));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      least = std::min(least, left_in("/sys/fs/cgroup/memory", path, "/memory.limit_in_bytes",
                                      "/memory.usage_in_bytes", "total_inactive_file"));
    }
  }
  return least;
}

}  // namespace

std::uint64_t available_memory() {
  return std::min(proc_figure("/proc/meminfo", "MemAvailable:"), cgroup_left());
}

std::uint64_t peak_resident() {
  return proc_figure("/proc/self/status", "VmHWM:");
}

std::uint64_t resident_in(std::span<const std::span<std::byte>> ranges) {
  std::ifstream in("/proc/self/smaps");
  std::string line;
  std::uint64_t total = 0;
  bool inside = false;
  while (std::getline(in, line)) {
    unsigned long first = 0;
    unsigned long last = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2) {
      inside = std::any_of(ranges.begin(), ranges.end(), [&](const auto range) {
        const auto at = reinterpret_cast<unsigned long>(range.data());
        return at < last && first < at + range.size();
      });
    } else if (inside && line.rfind("Rss:", 0) == 0) {
      total += std::stoull(line.substr(4)) * 1024;
    }
  }
  return total;
}

}  // namespace faro::telemetry
