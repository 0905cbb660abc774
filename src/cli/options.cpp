#include <algorithm>

#include "base/error.hpp"
#include "cli/command.hpp"

namespace faro::cli {

Options::Options(CLI::App& app, std::vector<config::Setting> settings, bool data)
    : settings_(std::move(settings)) {
  app.add_option("--config", config_file_, "TOML file with any of these settings, _ for -")
      ->type_name("FILE");
  for (const auto& setting : settings_) {
    auto& value = given_[setting.name];
    if (setting.name == "data") {
      if (data) app.add_option("DATA", value, setting.help)->type_name(" ");
      continue;
    }
    CLI::Option* option = nullptr;
    if (setting.meta.empty()) {
      const std::string names = fmt::format("--{0},!--no-{0}", setting.name);
      option = app.add_flag_function(
          names, [&value](std::int64_t count) { value = count > 0 ? "true" : "false"; },
          setting.help);
    } else {
      option = app.add_option("--" + setting.name, value, setting.help)->type_name(setting.meta);
    }
    option->group(setting.group);
  }
}

void Options::apply() const {
  if (!config_file_.empty()) config::load_toml(config_file_, settings_);
  for (const auto& setting : settings_) {
    const auto& value = given_.at(setting.name);
    if (value.empty()) continue;
    try {
      setting.set(value);
    } catch (const Error& error) {
      fail(ErrorCode::invalid_argument, "--{}: {}", setting.name, error.what());
    }
  }
}

std::vector<config::Setting> only(std::vector<config::Setting> all,
                                  std::vector<std::string> names) {
  std::erase_if(all, [&](const config::Setting& setting) {
    return std::find(names.begin(), names.end(), setting.name) == names.end();
  });
  return all;
}

}  // namespace faro::cli
