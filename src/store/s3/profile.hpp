// Internal to store/: the shared files of AWS's tools, ~/.aws/config and ~/.aws/credentials.
// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace faro::store::s3 {

/// Settings by small name. Those nested below another one are "s3.endpoint_url".
using Properties = std::map<std::string, std::string, std::less<>>;

/// What a file's sections say.
struct ProfileFile {
  std::map<std::string, Properties, std::less<>> profiles;
  std::map<std::string, Properties, std::less<>> services;
};

/// In the credentials file a section is [name]; elsewhere [profile name], [services name], and
/// [default].
enum class ProfileKind { config, credentials };

/// Reads the text of a file. Sections of other kinds are passed over, equal ones are merged.
/// Error(invalid_argument) where a line is no part of the dialect; it names the file and the line,
/// and never what stands there.
/// \param name the file's, for errors
[[nodiscard]] ProfileFile parse_profiles(std::string_view text, const std::string& name,
                                         ProfileKind kind);

/// The same from a file; nothing in it where there is no such file, or it is not ours to read.
/// Error(invalid_argument) also where it is longer than 1 MiB; Error(io).
[[nodiscard]] ProfileFile read_profiles(const std::string& path, ProfileKind kind);

}  // namespace faro::store::s3
