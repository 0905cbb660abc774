#include <algorithm>

#include "base/error.hpp"
#include "cli/command.hpp"

namespace faro::cli {
namespace {

/// The settings, and those of other subcommands as ones that do nothing.
std::vector<config::Setting> with_others(std::vector<config::Setting> settings) {
  Config unused;
  auto others = config::describe(unused);
  for (const char* name :
       {"order", "report", "ranks", "ranks-per-node", "xml", "bound", "input", "output", "source",
        "split", "samples-per-shard", "prefix", "force", "consume"}) {
    others.push_back({name, "", "", {}, ""});
  }
  for (auto& other : others) {
    const bool known = std::any_of(settings.begin(), settings.end(),
                                   [&](const auto& setting) { return setting.name == other.name; });
    if (known) continue;
    other.set = [](std::string_view) {};
    settings.push_back(std::move(other));
  }
  return settings;
}

}  // namespace

Options::Options(CLI::App& app, std::vector<config::Setting> settings)
    : settings_(std::move(settings)) {
  app.add_option("--config", config_file_, "TOML file with any of these settings, _ for -")
      ->type_name("FILE");
  for (const auto& setting : settings_) {
    auto& value = given_[setting.name];
    auto& option = options_[setting.name];
    if (setting.positional) {
      option = app.add_option(setting.meta, value, setting.help)->type_name(" ");
      continue;
    }
    if (setting.meta.empty()) {
      option = app.add_flag_function(
          fmt::format("--{0},!--no-{0}", setting.name),
          [&value](std::int64_t count) { value = count > 0 ? "true" : "false"; }, setting.help);
    } else {
      option = app.add_option("--" + setting.name, value, setting.help)->type_name(setting.meta);
    }
    option->group(setting.group);
  }
}

void Options::apply(comm::Communicator& comm) const {
  comm::together(comm, [&] {
    if (!config_file_.empty()) config::load_toml(config_file_, with_others(settings_));
    for (const auto& setting : settings_) {
      if (options_.at(setting.name)->count() == 0) continue;
      try {
        setting.set(given_.at(setting.name));
      } catch (const Error& error) {
        fail(ErrorCode::invalid_argument, "--{}: {}", setting.name, error.what());
      }
    }
  });
}

std::vector<config::Setting> only(std::vector<config::Setting> all,
                                  std::vector<std::string> names) {
  std::erase_if(all, [&](const config::Setting& setting) {
    return std::find(names.begin(), names.end(), setting.name) == names.end();
  });
  return all;
}

std::vector<config::Setting> store_settings(Config& config) {
  return only(config::describe(config),
              {"max-requests", "attempts", "request-timeout", "request-deadline", "outage-deadline",
               "endpoint-url", "region", "profile", "s3-style", "anonymous", "ca-file"});
}

}  // namespace faro::cli
