// Interface of cli/: the subcommands of `faro`. Each adds itself to the command line, and runs on
// every rank.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/comm.hpp"
#include "config/config.hpp"
#include "faro/error.hpp"

namespace faro::cli {

/// Settings as options: TOML by --config first, then what stands on the command line.
class Options {
 public:
  Options(CLI::App& app, std::vector<config::Setting> settings);
  /// Applies everything, on every rank or on none. Error(invalid_argument) names the option. Keys
  /// of the TOML file that only other subcommands know are passed over: one file serves all.
  void apply(comm::Communicator& comm) const;

 private:
  std::vector<config::Setting> settings_;
  std::string config_file_;
  std::map<std::string, std::string> given_;     // by name
  std::map<std::string, CLI::Option*> options_;  // by name
};

/// One line on stderr by rank 0; by the others where rank 0 may be the one that is silent. The exit
/// code that goes with it.
int report_error(const Error& error);

/// The same, and the end of the job: a rank that is silent comes to no end with the others. Who
/// does not speak leaves the time to who does.
[[noreturn]] void end_without_peer(const Error& error);

/// What a chosen subcommand does; its exit code.
using Action = std::function<int()>;

void add_pack(CLI::App& app, Action& chosen);
void add_put(CLI::App& app, Action& chosen);
void add_index(CLI::App& app, Action& chosen);
void add_plan(CLI::App& app, Action& chosen);
void add_topo(CLI::App& app, Action& chosen);
void add_run(CLI::App& app, Action& chosen);
void add_verify(CLI::App& app, Action& chosen);

/// The settings among `all` with one of these names, for subcommands that take a few.
[[nodiscard]] std::vector<config::Setting> only(std::vector<config::Setting> all,
                                                std::vector<std::string> names);

/// The settings of `config` that say how a store is reached, for subcommands that write to it.
[[nodiscard]] std::vector<config::Setting> store_settings(Config& config);

}  // namespace faro::cli
