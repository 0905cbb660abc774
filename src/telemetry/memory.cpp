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

/// The limit less the use of this process's cgroup (v2); the largest number where there is none.
std::uint64_t cgroup_left() {
  std::ifstream self("/proc/self/cgroup");
  std::string line;
  while (std::getline(self, line)) {
    if (line.rfind("0::", 0) != 0) continue;
    const std::string base = "/sys/fs/cgroup" + line.substr(3);
    std::ifstream limit(base + "/memory.max");
    std::ifstream use(base + "/memory.current");
    std::uint64_t most = 0;
    std::uint64_t used = 0;
    if (limit >> most && use >> used) return most > used ? most - used : 0;
  }
  return UINT64_MAX;
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
