// Servers that the tests of store/ start, and the data they serve. All of them end with the test,
// however it ends.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace faro::store::testing {

/// A directory of its own, removed at the end.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// A child process, killed by its id at the end; the kernel kills it should this process die.
class Child {
 public:
  explicit Child(const std::vector<std::string>& command);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  [[nodiscard]] bool running();
  /// The first line of its output.
  [[nodiscard]] std::string read_line();

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
};

/// nginx over a directory, plain and with TLS by a certificate made on the spot.
class Nginx {
 public:
  Nginx();
  [[nodiscard]] std::string http() const;
  [[nodiscard]] std::string https() const;
  [[nodiscard]] std::filesystem::path data() const { return dir_.path() / "data"; }
  [[nodiscard]] std::string ca_file() const { return dir_.file("conf/srv.pem"); }

 private:
  bool start();
  TempDir dir_;
  int port_ = 0;
  int tls_port_ = 0;
  std::unique_ptr<Child> child_;
};

/// fault_server.py: answers as the path's first component says.
class FaultServer {
 public:
  FaultServer();
  [[nodiscard]] std::string uri(const std::string& path) const;
  /// How many requests a path has had.
  [[nodiscard]] std::uint64_t count(const std::string& path) const;
  [[nodiscard]] std::uint64_t connections() const;
  /// The object that it serves.
  [[nodiscard]] static std::vector<std::byte> object();

 private:
  std::unique_ptr<Child> child_;
  int port_ = 0;
};

/// One of each for the whole program, started when first asked for.
Nginx& nginx();
FaultServer& fault_server();

/// A port that nobody listens on.
int free_port();

/// Bytes that tell their place.
std::vector<std::byte> pattern(std::size_t size, unsigned seed = 0);
void write_file(const std::filesystem::path& path, const std::vector<std::byte>& bytes);
void write_text(const std::filesystem::path& path, const std::string& text);

/// Options with waits fit for tests.
Options quick_options();

/// Drives a client until nothing is pending; fails the test after 20 s.
std::vector<Completion> finish(Client& client);

/// One read or one size by a client of its own.
Completion read_one(const Options& options, Request request);
Completion stat_one(const Options& options, const std::string& uri);

}  // namespace faro::store::testing
