#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "config/config.hpp"

namespace faro::config {
namespace {

/// A TOML scalar as the text that a setting takes.
std::string scalar(const toml::node& node, const std::string& where) {
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (const auto* value = node.as_integer()) return std::to_string(value->get());
  if (const auto* value = node.as_floating_point()) return fmt::format("{:f}", value->get());
  fail(ErrorCode::invalid_argument, "{}: a string, a number or true/false is wanted", where);
}

void apply(const toml::table& table, std::string_view name, std::span<const Setting> settings) {
  for (const auto& [key, node] : table) {
    if (const auto* section = node.as_table()) {
      apply(*section, name, settings);
      continue;
    }
    const std::string where = fmt::format("{}:{}: {}", name, node.source().begin.line, key.str());
    std::string option(key.str());
    std::replace(option.begin(), option.end(), '_', '-');
    const auto setting = std::find_if(settings.begin(), settings.end(),
                                      [&](const Setting& s) { return s.name == option; });
    check(setting != settings.end(), ErrorCode::invalid_argument,
          "{}: no such setting; `faro run --help` lists them, here with _ for -", where);
    const std::string value = scalar(node, where);
    try {
      setting->set(value);
    } catch (const Error& error) {
      fail(ErrorCode::invalid_argument, "{}: {}", where, error.what());
    }
  }
}

}  // namespace

void parse_toml(std::string_view text, std::string_view name, std::span<const Setting> settings) {
  toml::table document;
  try {
    document = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::format, "{}:{}: not TOML: {}", name, error.source().begin.line,
         error.description());
  }
  document.erase("tensors");  // of load_tensors(), where one file holds both
  document.erase("tensor");
  apply(document, name, settings);
}

void parse_toml(std::string_view text, std::string_view name, Config& config) {
  parse_toml(text, name, describe(config));
}

void load_toml(const std::string& file, std::span<const Setting> settings) {
  std::ifstream in(file, std::ios::binary);
  check(in.good(), ErrorCode::not_found, "{}: no such configuration file, or not readable", file);
  std::ostringstream text;
  text << in.rdbuf();
  check(!in.bad(), ErrorCode::io, "{}: cannot be read", file);
  parse_toml(text.str(), file, settings);
}

}  // namespace faro::config
