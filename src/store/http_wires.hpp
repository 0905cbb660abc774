// Internal to store/: the reads of http:// that this client carries itself.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/http_wire.hpp"

namespace faro::store {

/// All wires, those that rest included.
class Wires {
 public:
  struct End {
    HttpExchange* exchange;
    bool unusual;  ///< libcurl must ask again
  };

  /// \param multi makes the connections; outlives this
  Wires(CURLM* multi, const Options& options);
  ~Wires();
  Wires(const Wires&) = delete;
  Wires& operator=(const Wires&) = delete;

  /// A read was answered, by libcurl: where that is as it should be, and not after a redirect, the
  /// next reads of the same server may be sent here.
  void learn(const HttpRequest& request, const HttpAnswer& answer);
  /// Sends a read, on a connection that rests or on a new one. False where libcurl must do it: as
  /// long as the server is not known, and where it has once answered in an unusual way.
  [[nodiscard]] bool send(HttpExchange& exchange, const HttpRequest& request);
  /// Nothing is received for this exchange any more.
  void drop(const HttpExchange& exchange);
  [[nodiscard]] bool carries(const HttpExchange& exchange) const {
    return busy_.contains(&exchange);
  }
  /// Whether libcurl was given a connection to make since this was asked last.
  [[nodiscard]] bool connects() noexcept { return std::exchange(connects_, false); }
  /// libcurl is done with a handle; false where it is none of these.
  bool connected(CURL* handle, CURLcode code, std::vector<End>& ends);
  /// Sleeps until a socket is ready, wake(), or the timeout.
  void wait(std::chrono::milliseconds timeout);
  /// Readable where wait() would not sleep.
  [[nodiscard]] int descriptor() const noexcept { return epoll_; }
  /// Moves what wait() found ready.
  void move(std::vector<End>& ends);
  /// May be called from any thread.
  void wake() noexcept;

 private:
  struct Target {
    std::string origin;  // "http://host:port"
    std::string text;    // of the request
  };
  static std::optional<Target> target_of(const HttpRequest& request);

  void connect(HttpExchange& exchange, HttpRequest request, Target target);
  Wire* take_resting(const std::string& origin);
  void move(Wire& wire, std::vector<End>& ends);
  void leave_to_libcurl(Wire& wire, std::vector<End>& ends);
  void watch(Wire& wire, int operation);
  void remove(Wire& wire);

  CURLM* multi_;
  const Options& options_;
  int epoll_;
  int wake_;
  std::array<epoll_event, 64> events_;
  int ready_ = 0;
  bool connects_ = false;
  std::unordered_map<CURL*, std::unique_ptr<Wire>> wires_;
  std::unordered_map<const HttpExchange*, Wire*> busy_;
  std::unordered_map<std::string, std::vector<Wire*>> resting_;
  std::unordered_map<std::string, bool> usual_;  // by origin; those not named are not known
  std::vector<std::unique_ptr<Wire>> removed_;   // which events_ may still name
};

}  // namespace faro::store
