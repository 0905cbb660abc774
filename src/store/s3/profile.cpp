#include "store/s3/profile.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "store/s3/encoding.hpp"

namespace faro::store::s3 {
namespace {

constexpr std::size_t largest_file = 1U << 20;
constexpr std::string_view blanks = " \t";

// "x" of "x" and of x.
std::string_view unquoted(std::string_view text) noexcept {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
      text.back() == text.front()) {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

// A comment may follow a value after a blank. A command may have such characters of its own.
std::string_view without_comment(std::string_view value) noexcept {
  for (std::size_t i = 1; i < value.size(); ++i) {
    const bool after_blank = blanks.find(value[i - 1]) != blanks.npos;
    if (after_blank && (value[i] == '#' || value[i] == ';')) return trimmed(value.substr(0, i));
  }
  return value.starts_with('#') || value.starts_with(';') ? std::string_view{} : value;
}

class Parser {
 public:
  Parser(const std::string& name, ProfileKind kind) : name_(name), kind_(kind) {}

  ProfileFile parse(std::string_view text) {
    require(text.size() <= largest_file, "the file is longer than 1 MiB");
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    while (!text.empty()) {
      const auto end = text.find('\n');
      ++line_;
      take(text.substr(0, end));
      text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    // [profile default] is meant where both are there, whichever stands first.
    if (default_by_name_) out_.profiles["default"] = std::move(default_);
    return std::move(out_);
  }

 private:
  void require(bool holds, const char* what) const {
    check(holds, ErrorCode::invalid_argument, "{}:{}: {}", name_, line_, what);
  }

  void take(std::string_view line) {
    require(line.find('\0') == line.npos, "a zero byte in a text file");
    const bool indented = !line.empty() && blanks.find(line.front()) != blanks.npos;
    const auto text = trimmed(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') return;
    if (text.front() == '[' && !indented) return begin_section(text);
    require(in_section_, "a setting stands before the first [section]");
    if (indented && !last_.empty()) return take_indented(text);
    take_setting(text);
  }

  void begin_section(std::string_view text) {
    const auto close = text.find(']');
    require(close != text.npos, "a [section] without its ]");
    const auto after = trimmed(text.substr(close + 1));
    require(after.empty() || after.front() == '#' || after.front() == ';',
            "something follows a [section]");
    const auto title = trimmed(text.substr(1, close - 1));
    require(!title.empty(), "a [section] without a name");
    in_section_ = true;
    last_.clear();
    section_ = find_section(title);
  }

  // Where a section's settings go; nowhere for those that mean nothing to us.
  Properties* find_section(std::string_view title) {
    if (kind_ == ProfileKind::credentials) return &out_.profiles[std::string(unquoted(title))];
    if (title == "default") return &out_.profiles["default"];
    const auto blank = title.find_first_of(blanks);
    if (blank == title.npos) return nullptr;
    const auto word = title.substr(0, blank);
    const std::string name(unquoted(trimmed(title.substr(blank))));
    if (word == "services") return &out_.services[name];
    if (word != "profile") return nullptr;
    if (name != "default") return &out_.profiles[name];
    default_by_name_ = true;
    return &default_;
  }

  void take_setting(std::string_view text) {
    const auto [key, value] = split(text);
    last_ = key;
    if (section_ != nullptr) (*section_)[key] = value;
  }

  // Below a setting without a value stand nested ones; below another, the rest of its value.
  void take_indented(std::string_view text) {
    if (section_ == nullptr) return;
    auto& value = (*section_)[last_];
    if (value.empty()) {
      const auto [key, nested] = split(text);
      (*section_)[last_ + "." + key] = nested;
    } else {
      value += ' ';
      value += text;
    }
  }

  std::pair<std::string, std::string> split(std::string_view text) const {
    const auto equals = text.find('=');
    require(equals != text.npos, "neither a [section] nor a setting (name = value)");
    const std::string key = lower(trimmed(text.substr(0, equals)));
    require(!key.empty(), "a setting without a name");
    const auto value = trimmed(text.substr(equals + 1));
    return {key, std::string(key == "credential_process" ? value : without_comment(value))};
  }

  const std::string& name_;
  ProfileKind kind_;
  std::size_t line_ = 0;
  ProfileFile out_;
  bool in_section_ = false;
  Properties* section_ = nullptr;
  std::string last_;  // the setting that an indented line belongs to
  Properties default_;
  bool default_by_name_ = false;
};

struct Close {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

ProfileFile parse_profiles(std::string_view text, const std::string& name, ProfileKind kind) {
  return Parser(name, kind).parse(text);
}

ProfileFile read_profiles(const std::string& path, ProfileKind kind) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "re"));
  if (!file) {
    const bool absent = errno == ENOENT || errno == ENOTDIR || errno == EACCES;
    check(absent, ErrorCode::io, "{}: {}", path, std::strerror(errno));
    return {};
  }
  std::string text(largest_file + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  check(std::ferror(file.get()) == 0, ErrorCode::io, "{}: {}", path, std::strerror(errno));
  return parse_profiles(text, path, kind);
}

}  // namespace faro::store::s3
