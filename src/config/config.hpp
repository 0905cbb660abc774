// Interface of config/: the settings by name, from the command line and from TOML alike.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faro/config.hpp"

namespace faro::config {

/// One setting, bound to the value it sets. The same name serves as option (`--global-batch`) and,
/// with underscores, as TOML key (`global_batch`).
struct Setting {
  std::string name;
  std::string meta;  ///< what stands for the value in --help; empty for a switch
  std::string help;
  std::function<void(std::string_view)> set;  ///< Error(invalid_argument); a switch: true | false
  std::string group;
  bool positional = false;  ///< an argument without a name on the command line: DATA
};

/// All settings of a Config, bound to `config`, which must outlive them.
[[nodiscard]] std::vector<Setting> describe(Config& config);

/// Applies a TOML document: top-level `key = value` pairs, and tables whose names are for people
/// only. Unknown keys, wrong types and bad values are Error(invalid_argument), a malformed document
/// Error(format); each names `name`, line and key.
void parse_toml(std::string_view text, std::string_view name, std::span<const Setting> settings);
void parse_toml(std::string_view text, std::string_view name, Config& config);
/// The same from a file. Errors: not_found, io.
void load_toml(const std::string& file, std::span<const Setting> settings);

/// "4096", "64K", "16MiB", "1.5G" (powers of 1024, as in Slurm), "10MB" (powers of 1000).
[[nodiscard]] std::uint64_t parse_size(std::string_view text);
[[nodiscard]] std::uint64_t parse_count(std::string_view text);
[[nodiscard]] double parse_seconds(std::string_view text);
[[nodiscard]] bool parse_switch(std::string_view text);
[[nodiscard]] Window parse_window(std::string_view text);
[[nodiscard]] EndPolicy parse_end(std::string_view text);
[[nodiscard]] std::string to_string(EndPolicy end);
[[nodiscard]] std::string to_string(const Window& window);

}  // namespace faro::config
