// Interface of cli/: the subcommands of `faro`. Each adds itself to the command line, and runs on
// every rank.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace faro::cli {

/// Settings as options: TOML by --config first, then what stands on the command line.
class Options {
 public:
  /// \param data whether DATA is the first argument of the subcommand
  Options(CLI::App& app, std::vector<config::Setting> settings, bool data);
  /// Applies everything. Error(invalid_argument) names the option.
  void apply() const;

 private:
  std::vector<config::Setting> settings_;
  std::string config_file_;
  std::map<std::string, std::string> given_;  // by name, in no order: settings do not depend on it
};

/// What a chosen subcommand does; its exit code.
using Action = std::function<int()>;

void add_pack(CLI::App& app, Action& chosen);
void add_index(CLI::App& app, Action& chosen);
void add_plan(CLI::App& app, Action& chosen);
void add_run(CLI::App& app, Action& chosen);
void add_verify(CLI::App& app, Action& chosen);

/// The settings among `all` with one of these names, for subcommands that take a few.
[[nodiscard]] std::vector<config::Setting> only(std::vector<config::Setting> all,
                                                std::vector<std::string> names);

}  // namespace faro::cli
