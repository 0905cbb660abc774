// DATA, as the user names it, to the list of its shards.
#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "store/braces.hpp"
#include "store/s3_list.hpp"
#include "store/store.hpp"
#include "store/uri.hpp"

namespace faro::store {
namespace {

namespace fs = std::filesystem;

// Errors carry what the user wrote, without its secrets, once.
[[noreturn]] void fail_path(const std::string& path, const std::error_code& error) {
  const bool missing =
      error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  const bool denied = error == std::errc::permission_denied;
  fail(missing  ? ErrorCode::not_found
       : denied ? ErrorCode::access_denied
                : ErrorCode::io,
       "{}: {}", redacted(path), error.message());
}

// The absolute path with nothing else changed: `..` stays, as behind a symbolic link it leads
// elsewhere than its text says.
std::string absolute(std::string_view path) {
  while (path.starts_with("./")) path.remove_prefix(path.find_first_not_of('/', 1));
  if (path.starts_with('/')) return std::string(path);
  std::string here = fs::current_path().string();
  if (path.empty() || path == ".") return here;
  return fmt::format("{}{}{}", here, here.ends_with('/') ? "" : "/", path);
}

std::string file_uri(std::string_view path) {
  return "file://" + absolute(path);
}

bool is_directory(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool exists(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

void list_directory(const std::string& path, const std::string& suffix,
                    std::vector<std::string>& shards) {
  const std::string base = path.ends_with('/') ? path : path + "/";
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(base, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;  // a link that leads nowhere is no file
    if (!name.starts_with('.') && name.ends_with(suffix) && entry->is_regular_file(ignored)) {
      names.push_back(name);
    }
  }
  if (error) fail_path(path, error);
  check(!names.empty(), ErrorCode::not_found, "directory {} has no files{}", redacted(path),
        suffix.empty() ? "" : fmt::format(" that end in {}", suffix));
  std::sort(names.begin(), names.end());
  for (const auto& name : names) shards.push_back(file_uri(base + name));
}

struct Glob : glob_t {
  Glob() : glob_t{} {}
  ~Glob() { globfree(this); }
  Glob(const Glob&) = delete;
  Glob& operator=(const Glob&) = delete;
};

void list_glob(const std::string& pattern, std::vector<std::string>& shards) {
  Glob found;
  // Sorted here by bytes: glob's own order depends on the locale.
  const int code = glob(pattern.c_str(), GLOB_MARK | GLOB_NOSORT | GLOB_ERR, nullptr, &found);
  check(code != GLOB_ABORTED, ErrorCode::access_denied, "{}: a directory cannot be read",
        redacted(pattern));
  check(code != GLOB_NOSPACE, ErrorCode::memory, "{}: too many matches", redacted(pattern));
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < found.gl_pathc; ++i) {
    const std::string_view path = found.gl_pathv[i];
    if (!path.ends_with('/')) paths.emplace_back(path);  // GLOB_MARK: directories end in '/'
  }
  check(!paths.empty(), ErrorCode::not_found, "{} matches {}", redacted(pattern),
        code == GLOB_NOMATCH ? "no file" : "directories only; add /* for the files in them");
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) shards.push_back(file_uri(path));
}

// What a name without braces stands for.
void add_files(const std::string& path, const std::string& suffix,
               std::vector<std::string>& shards) {
  if (is_directory(path)) {
    list_directory(path, suffix, shards);
  } else if (!exists(path) && path.find_first_of("*?[") != path.npos) {
    list_glob(path, shards);
  } else {
    shards.push_back(file_uri(path));
  }
}

std::vector<std::string> expand_files(const std::string& path, const std::string& suffix) {
  std::vector<std::string> shards;
  // A name that exists stands for itself, whatever characters it has.
  if (exists(path)) {
    add_files(path, suffix, shards);
    return shards;
  }
  const auto paths = expand_braces(path);
  const bool globs = path.find_first_of("*?[") != path.npos;
  if (!globs && paths.size() == 1 && !exists(paths.front())) {
    std::error_code error;
    static_cast<void>(fs::symlink_status(paths.front(), error));
    fail_path(path, error ? error : std::make_error_code(std::errc::no_such_file_or_directory));
  }
  // A pattern may name millions of shards: only the first is looked at here, to tell shards from
  // directories. A shard that is missing shows when its size is asked for.
  const bool shards_only = !globs && !is_directory(paths.front());
  shards.reserve(paths.size());
  for (const auto& one : paths) {
    if (shards_only) {
      shards.push_back(file_uri(one));
    } else {
      add_files(one, suffix, shards);
    }
  }
  return shards;
}

void check_http(const std::string& uri) {
  const auto path = uri.substr(0, uri.find_first_of("?#"));
  const auto slash = path.find('/', path.find("://") + 3);
  check(
      slash != path.npos && !path.ends_with('/') && path.find('*') == path.npos,
      ErrorCode::invalid_argument,
      "{}: HTTP has no listing; name the shards by a brace pattern (shard-{{000..127}}.tar) or by "
      "@FILE, a list with one URI a line",
      redacted(uri));
}

std::string trimmed(const std::string& line) {
  constexpr const char* blanks = " \t\r\n";
  const auto first = line.find_first_not_of(blanks);
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(blanks) - first + 1);
}

// Each line is one shard, literally: lists are written by programs, for any name.
std::vector<std::string> read_list(const std::string& path) {
  check(!path.empty() && !has_scheme(path), ErrorCode::invalid_argument,
        "@{}: the list is a local file, as in @shards.txt", redacted(path));
  errno = 0;
  std::ifstream file(path);
  if (!file || is_directory(path)) {
    fail_path("list " + path, std::error_code(file ? EISDIR : errno, std::generic_category()));
  }
  const std::string folder = path.substr(0, path.rfind('/') + 1);  // empty: the current one
  std::vector<std::string> shards;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string entry = trimmed(line);
    if (entry.empty() || entry.front() == '#') continue;
    switch (scheme_of(entry)) {
      case Scheme::http:
      case Scheme::s3: shards.push_back(entry); break;
      case Scheme::other:
        fail(ErrorCode::invalid_argument, "list {}, line {}: '{}' is of no kind of store there is",
             redacted(path), number, redacted(entry));
      case Scheme::file:
        shards.push_back(has_scheme(entry)        ? "file://" + file_path(entry)
                         : entry.starts_with('/') ? file_uri(entry)
                                                  : file_uri(folder + entry));
    }
  }
  if (file.bad()) fail_path("list " + path, std::error_code(EIO, std::generic_category()));
  check(!shards.empty(), ErrorCode::not_found, "list {} names no shards", redacted(path));
  return shards;
}

}  // namespace

std::vector<std::string> expand(const std::string& data, const std::string& suffix,
                                const Options& options) {
  check(!data.empty(), ErrorCode::invalid_argument,
        "DATA is empty; name a shard, a pattern, a directory or @FILE");
  if (data.front() == '@') return read_list(data.substr(1));
  switch (scheme_of(data)) {
    case Scheme::file: return expand_files(file_path(data), suffix);
    case Scheme::http: {
      check_http(data);
      return expand_braces(data);
    }
    case Scheme::s3: return expand_s3(data, suffix, options);
    case Scheme::other: break;
  }
  fail_scheme(data);
}

}  // namespace faro::store
