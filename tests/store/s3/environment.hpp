// An environment of AWS's variables for one test, and a home of its own.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

extern char** environ;

namespace faro::store::s3::testing {

/// Takes all AWS_* variables and HOME away; gives everything back as it was.
class Environment {
 public:
  Environment() {
    std::string pattern = (std::filesystem::temp_directory_path() / "faro_s3_XXXXXX").string();
    home_ = ::mkdtemp(pattern.data());
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text(*entry);
      const auto name = text.substr(0, text.find('='));
      if (name.starts_with("AWS_") || name == "HOME") before_[name] = text.substr(name.size() + 1);
    }
    for (const auto& [name, value] : before_) ::unsetenv(name.c_str());
    set("HOME", home_);
  }
  ~Environment() {
    for (const auto& name : set_) ::unsetenv(name.c_str());
    for (const auto& [name, value] : before_) ::setenv(name.c_str(), value.c_str(), 1);
    std::filesystem::remove_all(home_);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  void set(const std::string& name, const std::string& value) {
    set_.push_back(name);
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  void set_keys() {
    set("AWS_ACCESS_KEY_ID", "AKIATESTKEYID");
    set("AWS_SECRET_ACCESS_KEY", "testsecret/0123+abc");
  }
  /// A file of the home; its path.
  std::string write(const std::string& name, const std::string& text) const {
    const auto path = std::filesystem::path(home_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  /// An executable script of the home; its path.
  std::string write_script(const std::string& name, const std::string& body) const {
    const auto path = write(name, "#!/bin/sh\n" + body);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  [[nodiscard]] const std::string& home() const { return home_; }

 private:
  std::string home_;
  std::map<std::string, std::string> before_;
  std::vector<std::string> set_;
};

}  // namespace faro::store::s3::testing
