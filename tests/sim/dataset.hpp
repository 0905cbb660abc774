// A data set in memory, made from a seed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "manifest/manifest.hpp"
#include "random.hpp"

namespace faro::sim {

struct Data {
  std::map<std::string, std::string> objects;  // by URI
  std::vector<std::string> content;            // of each sample: its fields, one after the other
  manifest::Manifest manifest;
};

/// Shards of raw or tar samples, empty and large ones among them, in blocks of all sizes.
[[nodiscard]] Data make_data(Random& random);

}  // namespace faro::sim
