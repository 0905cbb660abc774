// Internal to store/: the settings of an S3 client, from faro's options, the environment and the
// shared files, in this order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/s3/profile.hpp"
#include "store/store.hpp"

namespace faro::store::s3 {

/// A URL's parts, as they stand there.
struct Url {
  bool secure = false;
  std::string host;   ///< small letters; [..] of IPv6 included
  unsigned port = 0;  ///< the scheme's own where the URL has none
  std::string path;   ///< from its slash on; may be empty
  std::string query;  ///< behind the '?'

  /// "host", or "host:port" where the port is not the scheme's own: as curl sends Host.
  [[nodiscard]] std::string authority() const;
  /// "https://host:port"
  [[nodiscard]] std::string origin() const;
};

/// An http:// or https:// URL; nothing where it is of another form, or holds a user's name, control
/// characters or blanks.
[[nodiscard]] std::optional<Url> parse_url(std::string_view text);

enum class Style { automatic, path, virtual_host };

struct Settings {
  std::optional<Url> endpoint;  ///< nothing: AWS's own
  std::string region;
  Style style = Style::automatic;
  std::string ca_bundle;
  bool anonymous = false;
  std::string profile;         ///< its name
  bool profile_given = false;  ///< by the options: it wins over the environment's keys
  std::string config_file, credentials_file;
};

/// Error(invalid_argument): a value that makes no sense, a profile that does not exist, a shared
/// file that is not well formed.
[[nodiscard]] Settings read_settings(const S3Options& options);

/// A variable of the environment; nothing where it is not set or empty.
[[nodiscard]] std::optional<std::string> variable(const char* name);

/// Both files' settings of a profile; those of the credentials file count more.
[[nodiscard]] Properties profile_of(const Settings& settings);

/// Whether it can be part of a host's name: letters, digits, '-'.
[[nodiscard]] bool is_region(std::string_view text) noexcept;

}  // namespace faro::store::s3
