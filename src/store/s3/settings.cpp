#include "store/s3/settings.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/error.hpp"
#include "store/s3/encoding.hpp"

namespace faro::store::s3 {
namespace {

std::string home() {
  if (auto set = variable("HOME")) return *set;
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_dir : "";
}

std::string expanded(std::string path) {
  return path.starts_with("~/") ? home() + path.substr(1) : path;
}

bool is_yes(std::string_view text) noexcept {
  return text == "1" || same_nocase(text, "true") || same_nocase(text, "yes") ||
         same_nocase(text, "on");
}

std::optional<std::string> property(const Properties& properties, std::string_view name) {
  const auto found = properties.find(name);
  if (found == properties.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

// A value, and who says so.
struct Given {
  std::string value;
  std::string source;
};

std::optional<Given> from_variable(const char* name) {
  auto value = variable(name);
  if (!value) return std::nullopt;
  return Given{std::move(*value), name};
}

std::optional<Given> from_property(const Properties& properties, std::string_view name,
                                   const std::string& source) {
  auto value = property(properties, name);
  if (!value) return std::nullopt;
  return Given{std::move(*value), fmt::format("{} of {}", name, source)};
}

// The two files, with the sections that the profile leads to.
struct Shared {
  Properties profile, services;
  std::string source;  // of the profile's settings, for messages
};

Shared read_shared(Settings& settings) {
  const auto config = read_profiles(settings.config_file, ProfileKind::config);
  const auto credentials = read_profiles(settings.credentials_file, ProfileKind::credentials);
  const bool exists =
      config.profiles.contains(settings.profile) || credentials.profiles.contains(settings.profile);
  check(exists || settings.profile == "default", ErrorCode::invalid_argument,
        "the profile '{}' is neither in {} nor in {}", printable(settings.profile, 80),
        settings.config_file, settings.credentials_file);
  Shared out;
  out.source = fmt::format("the profile '{}'", printable(settings.profile, 80));
  if (const auto found = config.profiles.find(settings.profile); found != config.profiles.end()) {
    out.profile = found->second;
  }
  if (const auto name = property(out.profile, "services")) {
    const auto found = config.services.find(*name);
    check(found != config.services.end(), ErrorCode::invalid_argument,
          "{}: {} names services that have no section", settings.config_file, out.source);
    out.services = found->second;
  }
  return out;
}

std::optional<Url> read_endpoint(const S3Options& options, const Shared& shared) {
  std::optional<Given> given;
  if (!options.endpoint.empty()) given = Given{options.endpoint, "endpoint_url"};
  const auto ignored =
      variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
          .value_or(property(shared.profile, "ignore_configured_endpoint_urls").value_or("false"));
  if (!is_yes(ignored)) {
    if (!given) given = from_variable("AWS_ENDPOINT_URL_S3");
    if (!given) given = from_variable("AWS_ENDPOINT_URL");
    if (!given) given = from_property(shared.services, "s3.endpoint_url", shared.source);
    if (!given) given = from_property(shared.profile, "endpoint_url", shared.source);
  }
  if (!given) return std::nullopt;
  auto url = parse_url(given->value);
  check(url && url->query.empty(), ErrorCode::invalid_argument,
        "{} is no address of a store: give http[s]://host[:port], without a user's name and a "
        "query",
        given->source);
  while (url->path.ends_with('/')) url->path.pop_back();
  // It is encoded anew with the key.
  const auto path = percent_decoded(url->path);
  check(path.has_value(), ErrorCode::invalid_argument, "{} has a path that is not well encoded",
        given->source);
  url->path = *path;
  return url;
}

Style read_style(const S3Options& options, const Shared& shared) {
  std::optional<Given> given;
  if (!options.style.empty() && options.style != "auto") given = Given{options.style, "s3_style"};
  if (!given) given = from_property(shared.services, "s3.addressing_style", shared.source);
  if (!given) given = from_property(shared.profile, "s3.addressing_style", shared.source);
  if (!given || given->value == "auto") return Style::automatic;
  if (given->value == "path") return Style::path;
  check(given->value == "virtual", ErrorCode::invalid_argument,
        "{} is neither auto, path nor virtual", given->source);
  return Style::virtual_host;
}

std::string read_region(const S3Options& options, const Shared& shared) {
  std::optional<Given> given;
  if (!options.region.empty()) given = Given{options.region, "region"};
  if (!given) given = from_variable("AWS_REGION");
  if (!given) given = from_variable("AWS_DEFAULT_REGION");
  if (!given) given = from_property(shared.profile, "region", shared.source);
  if (!given) return "us-east-1";
  check(is_region(given->value), ErrorCode::invalid_argument,
        "{} is no name of a region: letters, digits and '-' alone", given->source);
  return given->value;
}

}  // namespace

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

bool is_region(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Settings read_settings(const S3Options& options) {
  Settings out;
  out.config_file = expanded(variable("AWS_CONFIG_FILE").value_or("~/.aws/config"));
  out.credentials_file =
      expanded(variable("AWS_SHARED_CREDENTIALS_FILE").value_or("~/.aws/credentials"));
  out.profile_given = !options.profile.empty();
  out.profile =
      out.profile_given
          ? options.profile
          : variable("AWS_PROFILE").value_or(variable("AWS_DEFAULT_PROFILE").value_or("default"));
  const auto shared = read_shared(out);
  out.endpoint = read_endpoint(options, shared);
  out.style = read_style(options, shared);
  out.region = read_region(options, shared);
  out.ca_bundle = expanded(
      variable("AWS_CA_BUNDLE").value_or(property(shared.profile, "ca_bundle").value_or("")));
  out.anonymous = options.anonymous || is_yes(variable("AWS_NO_SIGN_REQUEST").value_or("false"));
  return out;
}

Properties profile_of(const Settings& settings) {
  const auto merge = [&](Properties& into, const std::string& path, ProfileKind kind) {
    auto file = read_profiles(path, kind);
    const auto found = file.profiles.find(settings.profile);
    if (found == file.profiles.end()) return;
    for (auto& [name, value] : found->second) into[name] = std::move(value);
  };
  Properties out;
  merge(out, settings.config_file, ProfileKind::config);
  merge(out, settings.credentials_file, ProfileKind::credentials);
  return out;
}

}  // namespace faro::store::s3
