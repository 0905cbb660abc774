#include "telemetry/huge_pages.hpp"

#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <vector>

namespace faro::telemetry {
namespace {

constexpr const char* settings = "/sys/kernel/mm/transparent_hugepage/";

std::string text_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

/// "always [madvise] never": what stands in brackets; empty where there is no such file.
std::string_view chosen(std::string_view setting) {
  const auto first = setting.find('[');
  const auto last = setting.find(']');
  if (first == std::string_view::npos || last == std::string_view::npos || last < first) return {};
  return setting.substr(first + 1, last - first - 1);
}

struct Mount {
  std::string point;
  std::string type;
  std::string options;  // of the file system
};

/// proc(5): "36 35 98:0 / POINT rw,noatime master:1 - TYPE SOURCE OPTIONS", optional fields
/// before the dash.
Mount parse_mount(const std::string& line) {
  std::istringstream in(line);
  Mount mount;
  std::string word;
  for (int field = 0; field < 5 && in >> word; ++field) mount.point = word;
  while (in >> word && word != "-") {
  }
  in >> mount.type >> word >> mount.options;
  return mount;
}

bool holds(std::string_view point, std::string_view directory) {
  return point == "/" || (directory.starts_with(point) &&
                          (directory.size() == point.size() || directory[point.size()] == '/'));
}

}  // namespace

HugePages private_huge_pages_by(std::string_view enabled) {
  const auto value = chosen(enabled);
  if (value.empty()) return {false, "the kernel has no transparent huge pages"};
  return {value != "never", fmt::format("transparent_hugepage/enabled is {}", value)};
}

HugePages shared_huge_pages_by(std::string_view shmem_enabled, std::string_view mounts,
                               std::string_view directory) {
  const auto value = chosen(shmem_enabled);
  if (value.empty()) return {false, "the kernel has no huge pages for shared memory"};
  if (value == "force" || value == "deny") {
    return {value == "force", fmt::format("transparent_hugepage/shmem_enabled is {}", value)};
  }
  Mount best;
  std::istringstream lines{std::string(mounts)};
  for (std::string line; std::getline(lines, line);) {
    auto mount = parse_mount(line);
    // The longest mount point; of those on the same one, the last hides the others.
    if (holds(mount.point, directory) && mount.point.size() >= best.point.size()) {
      best = std::move(mount);
    }
  }
  if (best.type != "tmpfs") {
    return {false, fmt::format("{} is no tmpfs", directory)};
  }
  std::istringstream options(best.options);
  for (std::string option; std::getline(options, option, ',');) {
    if (!option.starts_with("huge=")) continue;
    return {option != "huge=never", fmt::format("{} is mounted with {}", best.point, option)};
  }
  return {false, fmt::format("{} is mounted without huge=advise", best.point)};
}

HugePages private_huge_pages() {
  return private_huge_pages_by(text_of(std::string(settings) + "enabled"));
}

HugePages shared_huge_pages(const std::string& directory) {
  return shared_huge_pages_by(text_of(std::string(settings) + "shmem_enabled"),
                              text_of("/proc/self/mountinfo"), directory);
}

}  // namespace faro::telemetry
