// Internal to store/: one HTTP request on its way, by libcurl's easy interface.
#pragma once

#include <array>
#include <string>

#include "store/curl.hpp"
#include "store/http_exchange.hpp"

namespace faro::store {

/// One easy handle, with the state of the attempt that it carries.
class Transfer : public HttpExchange {
 public:
  explicit Transfer(const Options& options);

  /// Sets the handle up for one request of the attempt.
  void prepare(Question question, const HttpRequest& request);
  /// libcurl is done with it.
  void end_by(CURLcode code) { end(code, error_text_.data()); }
  /// Asks libcurl how far the sending is.
  void look_at_sending(Clock::time_point now);

  /// Whether libcurl was led elsewhere.
  [[nodiscard]] bool redirected() const;

  [[nodiscard]] CURL* handle() const noexcept { return easy_.get(); }

 private:
  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) noexcept;
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept;

  Easy easy_;
  HeaderList headers_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  Clock::time_point prepared_;
};

/// What every connection is made by, whoever speaks over it: addresses, limits, trust.
void set_connection(const Easy& easy, const HttpRequest& request, const Options& options);

}  // namespace faro::store
