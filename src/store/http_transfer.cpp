#include "store/http_transfer.hpp"

#include <algorithm>

#include "base/crc32c.hpp"
#include "base/stream_copy.hpp"

namespace faro::store {
namespace {

constexpr long receive_buffer = 256 * 1024;  // beats curl's 16 KiB by 15 %
constexpr long most_redirects = 5;
// A body that is not wanted, such as an error's page, is read to its end up to this size: that
// keeps the connection for the next request. The first of it may say what is wrong.
constexpr std::uint64_t drained_body = 64 * 1024;

// A redirect leads to HTTP only, and never from https:// to where anyone may listen or answer.
void set_protocols(const Easy& easy, bool secure) {
#if LIBCURL_VERSION_NUM >= 0x075500
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
  set(easy, CURLOPT_PROTOCOLS, long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
  set(easy, CURLOPT_REDIR_PROTOCOLS,
      secure ? long{CURLPROTO_HTTPS} : long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
#endif
}

void set_body(const Easy& easy, std::span<const std::byte> body) {
  set(easy, CURLOPT_POST, 1L);
  set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  set(easy, CURLOPT_POSTFIELDS,
      body.empty() ? "" : static_cast<const void*>(body.data()));  // not copied
}

void set_method(const Easy& easy, const Call& call) {
  switch (call.method) {
    case Call::Method::get: set(easy, CURLOPT_HTTPGET, 1L); return;
    case Call::Method::put:
      set_body(easy, call.body);
      set(easy, CURLOPT_CUSTOMREQUEST, "PUT");
      return;
    case Call::Method::post: set_body(easy, call.body); return;
    case Call::Method::remove:
      set(easy, CURLOPT_HTTPGET, 1L);
      set(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
      return;
  }
}

double seconds_between(Transfer::Clock::time_point from, Transfer::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Transfer::Transfer(const Options& options) : options_(options), easy_(curl_easy_init()) {
  if (!easy_) throw std::bad_alloc();
}

void Transfer::begin(const Attempt& attempt) {
  attempt_ = &attempt;
  extra_requests_ = 0;
  begun_ = Clock::now();
}

void Transfer::prepare(Question question, const HttpRequest& request) {
  question_ = question;
  answer_ = {};
  info_ = {};
  checked_ = right_ = false;
  failure_.reset();
  text_.clear();
  received_ = 0;
  crc32c_ = 0;
  error_text_[0] = '\0';
  sent_ = last_byte_ = watched_since_ = Clock::now();
  first_byte_ = {};
  watched_from_ = 0;
  headers_.reset();
  for (const auto& [name, value] : request.headers) append(headers_, name + ": " + value);

  curl_easy_reset(easy_.get());  // keeps connections
  set(easy_, CURLOPT_NOSIGNAL, 1L);
  set(easy_, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  // Only speed depends on it; a handle that was cut short keeps its buffer and refuses.
  curl_easy_setopt(easy_.get(), CURLOPT_BUFFERSIZE, receive_buffer);
  set(easy_, CURLOPT_TCP_KEEPALIVE, 1L);
  // Every new connection looks the name up and takes any of its addresses: all of a store's servers
  // are used, and one that left is forgotten.
  set(easy_, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
  set(easy_, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  set(easy_, CURLOPT_QUICK_EXIT, 1L);  // an end must not wait for a name server
#endif
  set(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout * 1000));
  set(easy_, CURLOPT_USERAGENT, "faro");
  set(easy_, CURLOPT_ERRORBUFFER, error_text_.data());
  set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(easy_, CURLOPT_HEADERDATA, this);
  set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(easy_, CURLOPT_WRITEDATA, this);
  if (request.ca_file != nullptr) set(easy_, CURLOPT_CAINFO, request.ca_file);
  set(easy_, CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  set(easy_, CURLOPT_MAXREDIRS, most_redirects);
  set_protocols(easy_, request.secure);
  set(easy_, CURLOPT_FRESH_CONNECT, request.fresh ? 1L : 0L);
  url_ = request.url;
  set(easy_, CURLOPT_URL, url_.c_str());
  set(easy_, CURLOPT_PATH_AS_IS, request.as_is ? 1L : 0L);
  if (question == Question::head) set(easy_, CURLOPT_NOBODY, 1L);
  if (question == Question::call) {
    set_method(easy_, attempt_->call);
    append(headers_, "Expect:");  // no round trip before a body
    append(headers_, "Content-Type:");
  }
  set(easy_, CURLOPT_HTTPHEADER, headers_.get());
}

// curl's callbacks: any other count than `size` ends the transfer, and no exception may cross curl.
std::size_t Transfer::on_header(char* data, std::size_t, std::size_t size, void* self) noexcept
    try {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.last_byte_ = Clock::now();
  transfer.answer_.take({data, size});
  return size;
} catch (...) {
  return size + 1;
}

std::size_t Transfer::on_body(char* data, std::size_t, std::size_t size, void* self) noexcept try {
  return static_cast<Transfer*>(self)->take_body(data, size) ? size : size + 1;
} catch (...) {
  return size + 1;
}

void Transfer::check_head() {
  if (checked_) return;
  checked_ = true;
  switch (question_) {
    case Question::read: failure_ = check_read(answer_, attempt_->request, info_); break;
    case Question::call: failure_ = check_call(answer_, info_); break;
    default: failure_ = check_stat(answer_, attempt_->request, info_);
  }
  right_ = !failure_;
}

std::uint64_t Transfer::largest_text() const noexcept {
  return question_ == Question::call && !failure_ ? attempt_->call.largest_answer : drained_body;
}

// Whether the transfer goes on.
bool Transfer::take_body(const char* data, std::size_t size) {
  last_byte_ = Clock::now();
  if (first_byte_ == Clock::time_point{}) first_byte_ = last_byte_;
  check_head();
  if (failure_ || question_ == Question::call) return take_text(data, size);
  if (question_ != Question::read) {  // the first byte was asked for its head
    received_ += size;
    return received_ <= drained_body;
  }
  const auto& request = attempt_->request;
  if (size > request.range.length - received_) {
    received_ += size;
    failure_ = Failure{
        Cause::bad_answer,
        fmt::format("the body is longer than the {} bytes asked for", request.range.length)};
    return false;
  }
  // From curl's buffer, which is in the cache, to where nobody looks before much else has come.
  const std::span body(reinterpret_cast<const std::byte*>(data), size);
  stream_copy(request.into + received_, body.data(), size);
  crc32c_ = crc32c(body, crc32c_);
  received_ += size;
  return true;
}

bool Transfer::take_text(const char* data, std::size_t size) {
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
Failure Transfer::failure_of(CURLcode code) const {
  const auto given = std::string_view(error_text_.data());
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

void Transfer::end(CURLcode code) {
  // A refusal says more than how its transfer ended.
  if (code == CURLE_OK || answer_.status >= 400) check_head();
  // The body of a size question is not wanted: on_body ends it, and that is no failure.
  const bool probed =
      question_ == Question::first_byte && checked_ && code == CURLE_WRITE_ERROR && !failure_;
  const auto length = attempt_->request.range.length;
  // How the connection ends after the last byte that was asked for is no matter.
  const bool whole = question_ == Question::read && right_ && received_ == length;
  if (!failure_ && code != CURLE_OK && !probed && !whole) failure_ = failure_of(code);
  if (failure_ || question_ != Question::read) return;
  if (whole) {
    check_sum();
  } else {
    failure_ =
        Failure{Cause::truncated, fmt::format("the body has {} of {} bytes", received_, length)};
  }
}

void Transfer::give_up(Failure failure) {
  if (answer_.status >= 400) check_head();
  if (failure_) return;
  if (question_ == Question::read && right_ && received_ == attempt_->request.range.length) {
    check_sum();
  } else {
    failure_ = std::move(failure);
  }
}

// The store's own checksum is of the whole object.
void Transfer::check_sum() {
  if (info_.crc32c && received_ == info_.size && *info_.crc32c != crc32c_) {
    failure_ = Failure{Cause::bad_answer, "the bytes differ from the store's own checksum"};
  }
}

bool Transfer::wants_first_byte(bool s3) const {
  if (question_ != Question::head) return false;
  const auto status = answer_.status;
  if (s3) return status == 400 || status == 403 || status == 404;
  return status == 403 || status == 405 || status == 501 ||
         (status == 200 && failure_ && failure_->cause == Cause::unsupported);
}

Result Transfer::result() {
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

// Counted from the request's sending: connecting has a limit of its own. curl's low-speed limit
// counts in whole seconds.
std::optional<Failure> Transfer::stalled(Clock::time_point now) {
  if (question_ == Question::call) {
    curl_off_t uploaded = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &uploaded);
    if (static_cast<std::uint64_t>(uploaded) != watched_from_) last_byte_ = now;
    watched_from_ = static_cast<std::uint64_t>(uploaded);
  }
  auto since = last_byte_;
  if (since == sent_) {
    curl_off_t sent = 0;  // microseconds from the start; 0 while it is connecting
    curl_easy_getinfo(easy_.get(), CURLINFO_PRETRANSFER_TIME_T, &sent);
    if (sent == 0) return std::nullopt;
    since += std::chrono::microseconds(sent);
  }
  const double limit = options_.stall_timeout;
  if (seconds_between(since, now) >= limit) {
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
