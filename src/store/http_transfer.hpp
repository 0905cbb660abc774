// Internal to store/: one HTTP request on its way, by libcurl's easy interface.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/curl.hpp"
#include "store/http_answer.hpp"

namespace faro::store {

/// A request as it goes out.
struct HttpRequest {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  bool follow = false;  ///< redirects, by libcurl
  bool as_is = false;   ///< the path is sent as it stands: an S3 key may hold "/../"
  bool secure = false;  ///< https alone, redirects included
  bool fresh = false;   ///< on a new connection
  const char* ca_file = nullptr;
};

/// One easy handle, with the state of the attempt that it carries.
class Transfer {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Question { read, head, first_byte, call };

  explicit Transfer(const Options& options);

  /// Takes up another attempt, whose first request is sent next.
  void begin(const Attempt& attempt);
  /// Sets the handle up for one request of the attempt.
  void prepare(Question question, const HttpRequest& request);
  /// The transfer is over: what failed, if anything did.
  void end(CURLcode code);
  /// Whether the question was for the size by HEAD, and must be asked again by a GET of one byte:
  /// some servers refuse HEAD, or signed URLs allow GET only, or HEAD tells no length, or no
  /// reason.
  [[nodiscard]] bool wants_first_byte(bool s3) const;
  /// What has become of the attempt.
  [[nodiscard]] Result result();
  /// Seconds without a byte, or too few of them over that time; by Options.
  [[nodiscard]] std::optional<Failure> stalled(Clock::time_point now);

  [[nodiscard]] CURL* handle() const noexcept { return easy_.get(); }
  [[nodiscard]] const Attempt& attempt() const noexcept { return *attempt_; }
  [[nodiscard]] Question question() const noexcept { return question_; }
  [[nodiscard]] const HttpAnswer& answer() const noexcept { return answer_; }
  /// Where the last request went.
  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  /// The body of a call's answer, or the beginning of a refusal's.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  void fail(Failure failure) { failure_ = std::move(failure); }
  /// The transfer is given up, for that reason unless its head says a better one.
  void give_up(Failure failure);
  void count_request() noexcept { ++extra_requests_; }

 private:
  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) noexcept;
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept;
  void check_head();
  void check_sum();
  [[nodiscard]] bool take_body(const char* data, std::size_t size);
  [[nodiscard]] bool take_text(const char* data, std::size_t size);
  [[nodiscard]] Failure failure_of(CURLcode code) const;
  [[nodiscard]] std::uint64_t largest_text() const noexcept;

  const Options& options_;
  Easy easy_;
  HeaderList headers_;
  std::string url_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  const Attempt* attempt_ = nullptr;
  Question question_ = Question::read;
  HttpAnswer answer_;
  ObjectInfo info_;
  bool checked_ = false;  // the head; and was it right?
  bool right_ = false;
  std::optional<Failure> failure_;
  std::string text_;
  std::uint64_t received_ = 0;
  std::uint32_t crc32c_ = 0;
  std::uint64_t extra_requests_ = 0;
  Clock::time_point begun_, sent_, last_byte_, first_byte_;
  Clock::time_point watched_since_;  // for the low speed
  std::uint64_t watched_from_ = 0;
};

}  // namespace faro::store
