// What plans and runs look like to people, and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "faro/loader.hpp"

namespace faro::cli {

/// A table of the plan, a line each, ending with whether the budget holds.
[[nodiscard]] std::string describe(const Plan& plan, const Config& config);
[[nodiscard]] nlohmann::ordered_json to_json(const Plan& plan);

/// Where a rank works; of its node without the node's name.
[[nodiscard]] nlohmann::ordered_json rank_json(std::uint64_t rank, const Locality& locality);

/// Writes to a temporary file and renames it. Error(io).
void write_json(const std::string& file, const nlohmann::ordered_json& json);

}  // namespace faro::cli
