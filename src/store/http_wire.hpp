// Internal to store/: a connection that this client reads itself, so that the bytes of a body go
// from the socket to where they belong: libcurl would copy them once more.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "store/curl.hpp"
#include "store/http_exchange.hpp"
#include "store/http_head.hpp"

namespace faro::store {

/// One connection, which libcurl makes and closes, and one request at a time on it.
class Wire {
 public:
  using Clock = HttpExchange::Clock;

  /// How far a request is.
  enum class State {
    going,    ///< there may be more to move
    waits,    ///< for the socket
    ended,    ///< the exchange knows how
    stale,    ///< a connection that was used before had been closed: nothing was answered
    unusual,  ///< libcurl must ask again: a redirect, or a body whose length is not told
  };

  /// \param origin where requests on it go: "http://host:port"
  Wire(const HttpRequest& request, std::string origin, const Options& options);

  /// What is to be sent, once it is connected.
  void ask(HttpExchange& exchange, HttpRequest request, std::string text);
  /// libcurl has connected, or failed to; false where a proxy wants to see the requests.
  [[nodiscard]] bool connected();
  /// Sends what can be without waiting; false where the connection is broken, as move() will say.
  bool push();
  /// Sends or receives what can be without waiting, within bounds.
  State move();
  /// The exchange is over; another may follow.
  void rest();

  [[nodiscard]] CURL* handle() const noexcept { return easy_.get(); }
  [[nodiscard]] int socket() const noexcept { return socket_; }
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  /// libcurl's, of a connection that failed.
  [[nodiscard]] const char* error() const noexcept { return error_text_.data(); }
  /// nullptr where it rests.
  [[nodiscard]] HttpExchange* exchange() const noexcept { return exchange_; }
  [[nodiscard]] const HttpRequest& request() const noexcept { return request_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] bool sending() const noexcept { return sent_ < text_.size(); }
  /// Whether the server keeps it open for another request.
  [[nodiscard]] bool kept() const noexcept { return kept_; }
  /// Whether nothing has come since: neither its end nor more than was asked for.
  [[nodiscard]] bool quiet() const;
  [[nodiscard]] Clock::time_point resting_since() const noexcept { return resting_since_; }

 private:
  State take_head();
  State head_is_whole();
  State take_body();
  State give(std::string_view bytes);
  State broken(CURLcode code, int error);
  State end(CURLcode code, const char* text = "");

  Easy easy_;
  std::string origin_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  int socket_ = -1;
  HttpExchange* exchange_ = nullptr;
  HttpRequest request_;
  std::string text_;
  std::size_t sent_ = 0;
  HttpHead head_;
  std::uint64_t left_ = 0;  // of the body
  bool used_ = false;       // by an earlier request
  bool kept_ = true;
  Clock::time_point resting_since_;
};

}  // namespace faro::store
