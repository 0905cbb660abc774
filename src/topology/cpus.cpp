// Sets of processors, and what names of GPUs mean.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "topology/topology.hpp"

namespace faro::topology {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::string to_string(const CpuSet& cpus) {
  if (cpus.empty()) return "none";
  std::string text;
  for (auto at = cpus.begin(); at != cpus.end();) {
    const unsigned first = *at;
    unsigned last = first;
    while (++at != cpus.end() && *at == last + 1) ++last;
    if (!text.empty()) text += ',';
    text += first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
  }
  return text;
}

CpuSet common(const CpuSet& a, const CpuSet& b) {
  CpuSet both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(both, both.end()));
  return both;
}

std::optional<std::vector<std::size_t>> visible_gpus(const Machine& machine,
                                                     std::string_view variable) {
  std::vector<std::size_t> visible;
  while (!variable.empty()) {
    const auto comma = std::min(variable.find(','), variable.size());
    const auto word = variable.substr(0, comma);
    variable.remove_prefix(std::min(comma + 1, variable.size()));
    if (word.starts_with("MIG-")) return std::nullopt;
    if (word.starts_with("GPU-")) {
      const auto at = std::find_if(machine.gpus.begin(), machine.gpus.end(),
                                   [&](const Device& gpu) { return gpu.uuid.starts_with(word); });
      if (at == machine.gpus.end()) return std::nullopt;
      visible.push_back(static_cast<std::size_t>(at - machine.gpus.begin()));
      continue;
    }
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    // As CUDA reads it: the first that is no device hides all that follow.
    if (error != std::errc() || end != word.data() + word.size() || number >= machine.gpus.size()) {
      break;
    }
    visible.push_back(number);
  }
  return visible;
}

std::vector<std::size_t> gpus_at(const Machine& machine, std::span<const std::string> bus_ids) {
  std::vector<std::size_t> found;
  for (const auto& wanted : bus_ids) {
    const auto id = lower(wanted);
    for (std::size_t i = 0; i < machine.gpus.size(); ++i) {
      // Some write the domain with eight digits.
      if (id.ends_with(machine.gpus[i].bus_id)) found.push_back(i);
    }
  }
  return found;
}

void add_gpus(Machine& machine, std::span<const std::string> bus_ids) {
  for (const auto& bus_id : bus_ids) {
    if (bus_id.empty() || !gpus_at(machine, std::span(&bus_id, 1)).empty()) continue;
    Device gpu;
    gpu.name = gpu.bus_id = lower(bus_id);
    gpu.cpus = machine.cpus;
    machine.gpus.push_back(gpu);
  }
  std::stable_sort(machine.gpus.begin(), machine.gpus.end(),
                   [](const Device& a, const Device& b) { return a.bus_id < b.bus_id; });
}

}  // namespace faro::topology
