// Internal to store/: one HTTP request and what has come of it, whoever carries it: libcurl
// (http_transfer.hpp), or a connection that this client reads itself (http_wire.hpp).
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

class HttpExchange {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Question { read, head, first_byte, call };

  static constexpr long most_redirects = 5;

  explicit HttpExchange(const Options& options) : options_(options) {}

  /// Takes up another attempt, whose first request is sent next.
  void begin(const Attempt& attempt);
  /// Another request of the attempt is on its way.
  void ask(Question question, std::string url);
  /// It was sent at this time; until then it has no limit here, as connecting has one of its own.
  void sent(Clock::time_point when) noexcept { sent_ = when; }
  /// Bytes of a body that have been sent so far.
  void uploaded(std::uint64_t bytes, Clock::time_point now) noexcept;

  /// A line of the answer's head.
  void take_head(std::string_view line);
  /// Judges the head, which is whole.
  void check_head();
  /// Bytes of the answer's body; false where no more of them are wanted.
  [[nodiscard]] bool take_body(const char* data, std::size_t size);
  /// Where the next bytes of a right answer's body belong, and as many as are missing; empty where
  /// take_body() wants them.
  [[nodiscard]] std::span<std::byte> room() const noexcept;
  /// The first `size` bytes of room() are there.
  void filled(std::size_t size);
  /// The transfer is over: what failed, if anything did.
  /// \param text what libcurl says of the code
  void end(CURLcode code, std::string_view text = {});
  /// The transfer is given up, for that reason unless its head says a better one.
  void give_up(Failure failure);
  /// Whether the question was for the size by HEAD, and must be asked again by a GET of one byte:
  /// some servers refuse HEAD, or signed URLs allow GET only, or HEAD tells no length, or no
  /// reason.
  [[nodiscard]] bool wants_first_byte(bool s3) const;
  /// What has become of the attempt.
  [[nodiscard]] Result result();
  /// Seconds without a byte, or too few of them over that time; by Options.
  [[nodiscard]] std::optional<Failure> stalled(Clock::time_point now);

  [[nodiscard]] const Attempt& attempt() const noexcept { return *attempt_; }
  [[nodiscard]] Question question() const noexcept { return question_; }
  [[nodiscard]] const HttpAnswer& answer() const noexcept { return answer_; }
  /// Where the last request went.
  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  /// The body of a call's answer, or the beginning of a refusal's.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  void fail(Failure failure) { failure_ = std::move(failure); }
  void count_request() noexcept { ++extra_requests_; }

 protected:
  const Options& options_;

 private:
  void note_body();
  void check_sum();
  [[nodiscard]] bool take_text(const char* data, std::size_t size);
  [[nodiscard]] Failure failure_of(CURLcode code, std::string_view text) const;
  [[nodiscard]] std::uint64_t largest_text() const noexcept;

  std::string url_;
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
  Clock::time_point begun_, first_byte_;
  std::optional<Clock::time_point> sent_, last_byte_;
  Clock::time_point watched_since_;  // for the low speed
  std::uint64_t watched_from_ = 0;
};

}  // namespace faro::store
