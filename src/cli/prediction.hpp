// Internal to cli/: what `faro plan` foretells of the exchange.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "exchange/cost.hpp"
#include "loader/dataset.hpp"

namespace faro::cli {

/// The machine that is planned for, where it is another than this job's.
struct PlannedMachine {
  std::uint64_t ranks = 0;           ///< 0: this job's
  std::uint64_t nodes = 0;           ///< 0: not told
  std::uint64_t ranks_per_node = 0;  ///< 0: not told
  double link = 0;                   ///< bytes/s of a node, one way; 0: not told
  double store_link = 0;             ///< bytes/s of the store; 0: not told

  /// Puts it into what was found. Error(invalid_argument) for what contradicts itself.
  void apply(loader::Machine& machine) const;
  /// Whether a prediction was asked for.
  [[nodiscard]] bool predicts() const { return nodes > 0 || link > 0 || store_link > 0; }
};

/// Its settings, bound to it.
[[nodiscard]] std::vector<config::Setting> describe(PlannedMachine& machine);

/// A round of the plan's run.
class Prediction {
 public:
  Prediction(const Plan& plan, const Config& config, const loader::Machine& machine,
             const PlannedMachine& planned);
  /// Rows as those of describe(plan).
  [[nodiscard]] std::string text() const;
  [[nodiscard]] nlohmann::ordered_json json() const;

 private:
  exchange::Job job_;
  exchange::RoundCost cost_;
};

}  // namespace faro::cli
