// Names of shards: from URIs, and back to a DATA that stands for many.
#pragma once

#include <string>
#include <vector>

namespace faro::pack {

/// What follows the last '/' of a path or URI, without the query of an http(s):// one.
/// Error(invalid_argument) where there is nothing.
[[nodiscard]] std::string base_name(const std::string& uri);

/// DATA of some objects of one prefix: the one, a brace pattern where their names are numbered
/// without a gap, or else the prefix.
[[nodiscard]] std::string data_of(std::vector<std::string> uris);

}  // namespace faro::pack
