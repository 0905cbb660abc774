#include "net.hpp"

#include <cmath>
#include <random>

namespace train {

const std::vector<Parameter>& parameters() {
  static const auto all = [] {
    std::vector<Parameter> list;
    for (std::size_t l = 0; l < layers; ++l) {
      const auto number = std::to_string(l + 1);
      list.push_back({"w" + number, static_cast<std::size_t>(widths[l] * widths[l + 1])});
      list.push_back({"b" + number, static_cast<std::size_t>(widths[l + 1])});
    }
    return list;
  }();
  return all;
}

std::vector<float> first_values(std::uint64_t seed) {
  std::vector<float> values;
  std::mt19937_64 random(seed);
  for (std::size_t l = 0; l < layers; ++l) {
    std::normal_distribution<float> normal(0, std::sqrt(1.0F / static_cast<float>(widths[l])));
    for (auto left = parameters()[2 * l].elements; left > 0; --left) {
      values.push_back(normal(random));
    }
    values.resize(values.size() + parameters()[2 * l + 1].elements);
  }
  return values;
}

}  // namespace train
