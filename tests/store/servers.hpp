// Servers that the tests of store/ start, and the data they serve. All of them end with the test,
// however it ends.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
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
  /// The next line of its output; empty where it has ended.
  [[nodiscard]] std::string read_line();
  /// A line of its input.
  void write_line(const std::string& line);

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
  /// How a store of its own may be: its objects under another URI.
  struct Shape {
    int errors = 0;          ///< of 100 requests, drawn at random, those that are answered 503
    int delay = 0;           ///< ms to the first byte
    int slow = 0;            ///< ms to the first byte of every 100th request
    std::string rate = "0";  ///< bytes/s of a request ("30m"); 0: as fast as it can
  };
  /// http:// with that shape. Needs libnginx-mod-http-lua: see shapes().
  [[nodiscard]] std::string shaped(const Shape& shape) const;
  [[nodiscard]] static bool shapes();
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
  /// \param port a name of one of its ports: http, https, other, wrong_name, expired, self_signed
  [[nodiscard]] std::string endpoint(const std::string& port = "http") const;
  [[nodiscard]] std::string uri(const std::string& path) const { return endpoint() + path; }
  [[nodiscard]] static std::string s3(const std::string& path) { return "s3://store" + path; }
  /// Trusts ports https and expired.
  [[nodiscard]] std::string ca_file() const { return dir_.file("ca.pem"); }
  /// The requests that a path has had: see record() of fault_server.py.
  [[nodiscard]] nlohmann::json log(const std::string& path) const;
  [[nodiscard]] std::uint64_t count(const std::string& path) const { return log(path).size(); }
  [[nodiscard]] std::uint64_t connections() const;
  /// From now on nothing listens, until the time is over.
  void outage(double seconds) const;
  /// The object that it serves.
  [[nodiscard]] static std::vector<std::byte> object();

 private:
  [[nodiscard]] nlohmann::json control(const std::string& path) const;
  TempDir dir_;
  std::unique_ptr<Child> child_;
  nlohmann::json ports_;
};

/// radosgw.py: Ceph's S3 server, with a bucket "bucket".
class Radosgw {
 public:
  Radosgw();
  /// Whether its packages are installed; `missing` is why not.
  [[nodiscard]] static bool installed();
  static constexpr const char* missing =
      "no radosgw here: packages ceph-mon, ceph-osd and radosgw (jobs/setup.sh --tests)";
  [[nodiscard]] std::string http() const;
  [[nodiscard]] std::string https() const;
  [[nodiscard]] std::string ca_file() const { return dir_.file("ca.pem"); }
  void bucket(const std::string& name);
  /// \param path BUCKET/KEY
  void put(const std::string& path, std::span<const std::byte> bytes);

  static constexpr const char* key = "FAROTESTKEY";
  static constexpr const char* secret = "farotestsecret+/0123456789abcdef";
  /// Another user, who has no right to the first one's buckets.
  static constexpr const char* stranger = "FAROTESTSTRANGER";
  static constexpr const char* stranger_secret = "strangersecret+/0123456789abcdef";

 private:
  void tell(const std::string& line);
  TempDir dir_;
  std::unique_ptr<Child> child_;
  int port_ = 0;
  int tls_port_ = 0;
};

/// One of each for the whole program, started when first asked for.
Nginx& nginx();
FaultServer& fault_server();
Radosgw& radosgw();

/// What AWS's tools take from the environment, for clients made from now on.
void use_credentials(const std::string& key, const std::string& secret,
                     const std::string& token = "");

/// A port that nobody listens on.
int free_port();

/// Bytes that tell their place.
std::vector<std::byte> pattern(std::size_t size, unsigned seed = 0);
void write_file(const std::filesystem::path& path, const std::vector<std::byte>& bytes);
void write_text(const std::filesystem::path& path, const std::string& text);

/// Options with waits fit for tests, and no hedges: most tests count requests.
Options quick_options();
/// The same for s3:// at an endpoint, in path style.
Options s3_options(const std::string& endpoint);

/// Drives a client until nothing is pending; fails the test after 20 s.
std::vector<Completion> finish(Client& client);

/// One read or one size by a client of its own.
Completion read_one(const Options& options, Request request);
Completion stat_one(const Options& options, const std::string& uri);

}  // namespace faro::store::testing
