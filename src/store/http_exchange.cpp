#include "store/http_exchange.hpp"

#include <algorithm>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "base/runtime.hpp"
#include "base/stream_copy.hpp"

namespace faro::store {
namespace {

// A body that is not wanted, such as an error's page, is read to its end up to this size: that
// keeps the connection for the next request. The first of it may say what is wrong.
constexpr std::uint64_t drained_body = 64 * 1024;

}  // namespace

void HttpExchange::begin(const Attempt& attempt) {
  attempt_ = &attempt;
  extra_requests_ = 0;
  begun_ = Clock::now();
}

void HttpExchange::ask(Question question, std::string url) {
  url_ = std::move(url);
  question_ = question;
  answer_ = {};
  info_ = {};
  checked_ = right_ = false;
  failure_.reset();
  text_.clear();
  received_ = 0;
  crc32c_ = 0;
  sent_.reset();
  last_byte_.reset();
  watched_since_ = Clock::now();
  first_byte_ = {};
  watched_from_ = 0;
}

void HttpExchange::uploaded(std::uint64_t bytes, Clock::time_point now) noexcept {
  if (bytes != watched_from_) last_byte_ = now;
  watched_from_ = bytes;
}

void HttpExchange::take_head(std::string_view line) {
  last_byte_ = Clock::now();
  answer_.take(line);
}

void HttpExchange::check_head() {
  if (checked_) return;
  checked_ = true;
  switch (question_) {
    case Question::read: failure_ = check_read(answer_, attempt_->request, info_); break;
    case Question::call: failure_ = check_call(answer_, info_); break;
    default: failure_ = check_stat(answer_, attempt_->request, info_);
  }
  right_ = !failure_;
}

std::uint64_t HttpExchange::largest_text() const noexcept {
  return question_ == Question::call && !failure_ ? attempt_->call.largest_answer : drained_body;
}

// Whether the transfer goes on.
bool HttpExchange::take_body(const char* data, std::size_t size) {
  note_body();
  check_head();
  if (failure_ || question_ == Question::call) return take_text(data, size);
  if (question_ != Question::read) {  // the first byte was asked for its head
    received_ += size;
    return received_ <= drained_body;
  }
  const auto place = room();
  if (size > place.size()) {
    received_ += size;
    failure_ =
        Failure{Cause::bad_answer, fmt::format("the body is longer than the {} bytes asked for",
                                               attempt_->request.range.length)};
    return false;
  }
  // From curl's buffer, which is in the cache, to where nobody looks before much else has come.
  const std::span body(reinterpret_cast<const std::byte*>(data), size);
  stream_copy(place.data(), body.data(), size);
  crc32c_ = crc32c(body, crc32c_);
  received_ += size;
  return true;
}

std::span<std::byte> HttpExchange::room() const noexcept {
  if (!right_ || failure_ || question_ != Question::read) return {};
  const auto& request = attempt_->request;
  return {request.into + received_, request.range.length - received_};
}

void HttpExchange::filled(std::size_t size) {
  note_body();
  crc32c_ = crc32c(room().first(size), crc32c_);
  received_ += size;
}

void HttpExchange::note_body() {
  last_byte_ = Clock::now();
  if (first_byte_ == Clock::time_point{}) first_byte_ = *last_byte_;
}

bool HttpExchange::take_text(const char* data, std::size_t size) {
  received_ += size;
  const auto room = largest_text();
  if (received_ > room) {
    if (!failure_) {
      failure_ =
          Failure{Cause::bad_answer, fmt::format("the answer is longer than {} bytes", room)};
    }
    return false;
  }
  text_.append(data, size);
  return true;
}

// What curl's own error means, where no head of an answer says it better.
Failure HttpExchange::failure_of(CURLcode code, std::string_view given) const {
  const std::string text(given.empty() ? curl_easy_strerror(code) : given);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return {Cause::timeout, text};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return {
          Cause::untrusted,
          fmt::format("the server's certificate is not trusted ({}); name the CA that signed it "
                      "with ca_file",
                      text)};
    case CURLE_URL_MALFORMAT: return {Cause::invalid, text};
    case CURLE_UNSUPPORTED_PROTOCOL:  // the request's own was looked at before
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
      return answer_.status >= 300
                 ? Failure{Cause::unsupported, "the server redirects to another protocol"}
                 : Failure{Cause::bad_answer, "the server does not answer in HTTP/1: " + text};
    case CURLE_TOO_MANY_REDIRECTS:
      return {Cause::unsupported, fmt::format("more than {} redirects", most_redirects)};
    case CURLE_PARTIAL_FILE:
      return {Cause::truncated,
              fmt::format("the connection ended after {} bytes of the body", received_)};
    default: return {Cause::connection, text};
  }
}

void HttpExchange::end(CURLcode code, std::string_view text) {
  // A refusal says more than how its transfer ended.
  if (code == CURLE_OK || answer_.status >= 400) check_head();
  // The body of a size question is not wanted: on_body ends it, and that is no failure.
  const bool probed =
      question_ == Question::first_byte && checked_ && code == CURLE_WRITE_ERROR && !failure_;
  const auto length = attempt_->request.range.length;
  // How the connection ends after the last byte that was asked for is no matter.
  const bool whole = question_ == Question::read && right_ && received_ == length;
  if (!failure_ && code != CURLE_OK && !probed && !whole) failure_ = failure_of(code, text);
  if (failure_ || question_ != Question::read) return;
  if (whole) {
    check_sum();
  } else {
    failure_ =
        Failure{Cause::truncated, fmt::format("the body has {} of {} bytes", received_, length)};
  }
}

void HttpExchange::give_up(Failure failure) {
  if (answer_.status >= 400) check_head();
  if (failure_) return;
  if (question_ == Question::read && right_ && received_ == attempt_->request.range.length) {
    check_sum();
  } else {
    failure_ = std::move(failure);
  }
}

// The store's own checksum is of the whole object.
void HttpExchange::check_sum() {
  if (info_.crc32c && received_ == info_.size && *info_.crc32c != crc32c_) {
    failure_ = Failure{Cause::bad_answer, "the bytes differ from the store's own checksum"};
  }
}

bool HttpExchange::wants_first_byte(bool s3) const {
  if (question_ != Question::head) return false;
  const auto status = answer_.status;
  if (s3) return status == 400 || status == 403 || status == 404;
  return status == 403 || status == 405 || status == 501 ||
         (status == 200 && failure_ && failure_->cause == Cause::unsupported);
}

Result HttpExchange::result() {
  Result result;
  result.attempt = attempt_;
  result.info = std::move(info_);
  result.received = received_;
  result.extra_requests = extra_requests_;
  result.crc32c = crc32c_;
  const auto now = Clock::now();
  result.seconds = seconds_between(begun_, now);
  result.first_byte =
      first_byte_ == Clock::time_point{} ? result.seconds : seconds_between(begun_, first_byte_);
  // What came of a right answer before it broke off is good; of a wrong one nothing is.
  const bool broke_off =
      failure_ && (failure_->cause == Cause::connection || failure_->cause == Cause::timeout ||
                   failure_->cause == Cause::truncated);
  if (broke_off && right_ && question_ == Question::read) result.kept = received_;
  result.failure = std::move(failure_);
  result.text = std::move(text_);
  return result;
}

std::optional<Failure> HttpExchange::stalled(Clock::time_point now) {
  if (!sent_) return std::nullopt;
  const double limit = options_.stall_timeout;
  if (seconds_between(last_byte_.value_or(*sent_), now) >= limit) {
    return Failure{Cause::timeout, fmt::format("no byte for {:.1f} s", limit)};
  }
  const double watched = seconds_between(watched_since_, now);
  if (watched < limit || question_ == Question::call) return std::nullopt;
  const double speed = static_cast<double>(received_ - watched_from_) / watched;
  if (speed < options_.low_speed) {
    return Failure{Cause::timeout, fmt::format("{:.0f} bytes/s over {:.1f} s, less than low_speed",
                                               speed, watched)};
  }
  watched_since_ = now;
  watched_from_ = received_;
  return std::nullopt;
}

}  // namespace faro::store
