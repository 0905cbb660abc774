// http:// and https:// by libcurl's multi interface: many keep-alive HTTP/1.1 connections, one
// thread, bodies copied once, from curl's buffer to where they belong.
#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <unordered_map>

#include "base/error.hpp"
#include "store/http_answer.hpp"
#include "store/uri.hpp"

namespace faro::store {
namespace {

using Clock = std::chrono::steady_clock;

struct EasyCleanup {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
struct MultiCleanup {
  void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
};
struct ListCleanup {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyCleanup>;
using Multi = std::unique_ptr<CURLM, MultiCleanup>;
using HeaderList = std::unique_ptr<curl_slist, ListCleanup>;

constexpr long receive_buffer = 256 * 1024;  // beats curl's 16 KiB by 15 %
constexpr long most_redirects = 5;
// A body that is not wanted, such as an error's page, is read to its end up to this size: that
// keeps the connection for the next request.
constexpr std::uint64_t drained_body = 64 * 1024;

void append(HeaderList& list, const std::string& line) {
  auto* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

// One easy handle with the state of the attempt that it carries.
struct Transfer {
  enum class Question { read, head, first_byte };

  Easy easy;
  HeaderList headers;
  std::array<char, CURL_ERROR_SIZE> error_text{};
  const Attempt* attempt = nullptr;
  Question question = Question::read;
  HttpAnswer answer;
  ObjectInfo info;
  bool checked = false;
  std::optional<Failure> failure;
  std::uint64_t received = 0;
  std::uint64_t extra_requests = 0;
  Clock::time_point started, last_byte;

  void check_head() {
    if (checked) return;
    checked = true;
    failure = question == Question::read ? check_read(answer, attempt->request, info)
                                         : check_stat(answer, attempt->request, info);
  }

  // Whether the transfer goes on.
  bool take_body(const char* data, std::size_t size) {
    last_byte = Clock::now();
    check_head();
    const auto length = attempt->request.range.length;
    const bool wanted = question == Question::read && !failure;
    if (wanted && size > length - received) {
      received += size;
      failure = Failure{Cause::bad_answer, fmt::format("the body is longer than the {} bytes asked "
                                                       "for",
                                                       length)};
      return false;
    }
    if (wanted) std::memcpy(attempt->request.into + received, data, size);
    received += size;
    return wanted || received <= drained_body;
  }
};

// curl's callbacks: any other count than `size` ends the transfer, and no exception may cross curl.
std::size_t on_header(char* data, std::size_t, std::size_t size, void* transfer) noexcept try {
  auto& self = *static_cast<Transfer*>(transfer);
  self.last_byte = Clock::now();
  self.answer.take({data, size});
  return size;
} catch (...) {
  return size + 1;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* transfer) noexcept try {
  return static_cast<Transfer*>(transfer)->take_body(data, size) ? size : size + 1;
} catch (...) {
  return size + 1;
}

template <class Value>
void set(const Easy& easy, CURLoption option, Value value) {
  const auto code = curl_easy_setopt(easy.get(), option, value);
  check(code == CURLE_OK, ErrorCode::internal, "libcurl refused option {}: {}",
        static_cast<int>(option), curl_easy_strerror(code));
}

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

// What curl's own error means, where no head of an answer says it better.
Failure failure_of(CURLcode code, const Transfer& transfer) {
  const auto given = std::string_view(transfer.error_text.data());
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
      return transfer.answer.status >= 300
                 ? Failure{Cause::unsupported, "the server redirects to another protocol"}
                 : Failure{Cause::bad_answer, "the server does not answer in HTTP/1: " + text};
    case CURLE_TOO_MANY_REDIRECTS:
      return {Cause::unsupported, fmt::format("more than {} redirects", most_redirects)};
    case CURLE_PARTIAL_FILE:
      return {Cause::truncated,
              fmt::format("the connection ended after {} bytes of the body", transfer.received)};
    default: return {Cause::connection, text};
  }
}

class HttpTransport final : public Transport {
 public:
  explicit HttpTransport(const Options& options) : options_(options) {
    // Once for the process; never undone, as the host program may use curl too.
    static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
    check(global == CURLE_OK, ErrorCode::internal, "libcurl does not start: {}",
          curl_easy_strerror(global));
    multi_.reset(curl_multi_init());
    if (!multi_) throw std::bad_alloc();
    // A connection for each request in flight outlives the request.
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, narrow<long>(options.max_requests));
  }

  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  ~HttpTransport() override {
    for (auto& [easy, transfer] : active_) curl_multi_remove_handle(multi_.get(), easy);
  }

  void start(const Attempt& attempt) override {
    auto transfer = take_idle();
    transfer->attempt = &attempt;
    transfer->extra_requests = 0;
    send(std::move(transfer), attempt.stat ? Transfer::Question::head : Transfer::Question::read);
  }

  void poll(std::vector<Result>& done, std::chrono::milliseconds timeout) override {
    const auto before = done.size();
    const auto deadline = Clock::now() + timeout;
    while (true) {
      int running = 0;
      require(curl_multi_perform(multi_.get(), &running), "curl_multi_perform");
      collect(done);
      give_up_stalled(done);
      const auto now = Clock::now();
      if (done.size() > before || woken_.exchange(false) || now >= deadline) return;
      // Stalls are looked for between sleeps.
      auto sleep = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
      if (!active_.empty()) sleep = std::min(sleep, stall_check());
      require(curl_multi_poll(multi_.get(), nullptr, 0, narrow<int>(sleep.count()), nullptr),
              "curl_multi_poll");
    }
  }

  void wake() override {
    if (!woken_.exchange(true)) curl_multi_wakeup(multi_.get());
  }

 private:
  static void require(CURLMcode code, const char* call) {
    check(code == CURLM_OK, ErrorCode::internal, "{}: {}", call, curl_multi_strerror(code));
  }

  [[nodiscard]] std::chrono::milliseconds stall_check() const {
    const std::chrono::duration<double> tenth(options_.stall_timeout / 10);
    return std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(tenth),
                      std::chrono::milliseconds(5), std::chrono::milliseconds(500));
  }

  std::unique_ptr<Transfer> take_idle() {
    if (!idle_.empty()) {
      auto transfer = std::move(idle_.back());
      idle_.pop_back();
      return transfer;
    }
    auto transfer = std::make_unique<Transfer>();
    auto& easy = transfer->easy;
    easy.reset(curl_easy_init());
    if (!easy) throw std::bad_alloc();
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    set(easy, CURLOPT_BUFFERSIZE, receive_buffer);
    set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set(easy, CURLOPT_FOLLOWLOCATION, 1L);
    set(easy, CURLOPT_MAXREDIRS, most_redirects);
    set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout * 1000));
    set(easy, CURLOPT_USERAGENT, "faro");
    set(easy, CURLOPT_ERRORBUFFER, transfer->error_text.data());
    set(easy, CURLOPT_HEADERFUNCTION, &on_header);
    set(easy, CURLOPT_HEADERDATA, transfer.get());
    set(easy, CURLOPT_WRITEFUNCTION, &on_body);
    set(easy, CURLOPT_WRITEDATA, transfer.get());
    if (!options_.ca_file.empty()) set(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
    return transfer;
  }

  void send(std::unique_ptr<Transfer> transfer, Transfer::Question question) {
    const Request& request = transfer->attempt->request;
    transfer->question = question;
    transfer->answer = {};
    transfer->info = {};
    transfer->checked = false;
    transfer->failure.reset();
    transfer->received = 0;
    transfer->error_text[0] = '\0';
    transfer->started = transfer->last_byte = Clock::now();

    transfer->headers.reset();
    append(transfer->headers, "Accept-Encoding: identity");
    if (request.expect && is_strong_etag(request.expect->etag)) {
      append(transfer->headers, "If-Match: " + request.expect->etag);
    }
    const auto [offset, length] =
        question == Transfer::Question::read ? request.range : ByteRange{0, 1};
    const std::string range = fmt::format("{}-{}", offset, offset + length - 1);
    const bool head = question == Transfer::Question::head;

    auto& easy = transfer->easy;
    set(easy, CURLOPT_URL, request.uri.c_str());
    set_protocols(easy, is_https(request.uri));
    set(easy, CURLOPT_HTTPHEADER, transfer->headers.get());
    if (head) {
      set(easy, CURLOPT_NOBODY, 1L);
    } else {
      set(easy, CURLOPT_HTTPGET, 1L);  // which also ends NOBODY
    }
    set(easy, CURLOPT_RANGE, head ? static_cast<const char*>(nullptr) : range.c_str());
    CURL* key = easy.get();
    require(curl_multi_add_handle(multi_.get(), key), "curl_multi_add_handle");
    active_.emplace(key, std::move(transfer));
  }

  void collect(std::vector<Result>& done) {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      finish(take_active(message->easy_handle), code, done);
    }
  }

  std::unique_ptr<Transfer> take_active(CURL* easy) {
    curl_multi_remove_handle(multi_.get(), easy);
    auto node = active_.extract(easy);
    return std::move(node.mapped());
  }

  void finish(std::unique_ptr<Transfer> transfer, CURLcode code, std::vector<Result>& done) {
    auto& self = *transfer;
    // A refusal says more than how its transfer ended.
    if (code == CURLE_OK || self.answer.status >= 400) self.check_head();
    if (!self.failure && code != CURLE_OK && !is_probe_end(self, code)) {
      self.failure = failure_of(code, self);
    }
    if (self.question == Transfer::Question::head && wants_first_byte(self)) {
      ++self.extra_requests;
      send(std::move(transfer), Transfer::Question::first_byte);
      return;
    }
    const auto length = self.attempt->request.range.length;
    if (!self.failure && self.question == Transfer::Question::read && self.received != length) {
      self.failure = Failure{Cause::truncated,
                             fmt::format("the body has {} of {} bytes", self.received, length)};
    }
    give(std::move(transfer), done);
  }

  void give(std::unique_ptr<Transfer> transfer, std::vector<Result>& done) {
    done.push_back({.attempt = transfer->attempt,
                    .failure = std::move(transfer->failure),
                    .info = std::move(transfer->info),
                    .received = transfer->received,
                    .extra_requests = transfer->extra_requests});
    idle_.push_back(std::move(transfer));
  }

  // The body of a size question is not wanted: on_body ends it, and that is no failure.
  static bool is_probe_end(const Transfer& transfer, CURLcode code) {
    return transfer.question == Transfer::Question::first_byte && transfer.checked &&
           code == CURLE_WRITE_ERROR;
  }

  // Some servers refuse HEAD, or signed URLs allow GET only, or HEAD tells no length.
  static bool wants_first_byte(const Transfer& transfer) {
    const auto status = transfer.answer.status;
    return status == 403 || status == 405 || status == 501 ||
           (status == 200 && transfer.failure && transfer.failure->cause == Cause::unsupported);
  }

  // Seconds without a byte, counted from the request's sending: connecting has a limit of its own.
  // curl's low-speed limit averages over seconds and counts in whole ones.
  void give_up_stalled(std::vector<Result>& done) {
    const auto now = Clock::now();
    if (now < next_stall_check_) return;
    next_stall_check_ = now + stall_check();
    const auto limit = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(options_.stall_timeout));
    std::vector<CURL*> stalled;
    for (const auto& [easy, transfer] : active_) {
      auto since = transfer->last_byte;
      if (since == transfer->started) {
        curl_off_t sent = 0;  // microseconds from the start; 0 while it is connecting
        curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
        if (sent == 0) continue;
        since += std::chrono::microseconds(sent);
      }
      if (now - since >= limit) stalled.push_back(easy);
    }
    for (auto* easy : stalled) {
      auto transfer = take_active(easy);
      transfer->failure =
          Failure{Cause::timeout, fmt::format("no byte for {:.1f} s", options_.stall_timeout)};
      give(std::move(transfer), done);
    }
  }

  const Options options_;
  // The order matters: handles go before the multi handle that they may still be added to.
  Multi multi_;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> active_;
  std::vector<std::unique_ptr<Transfer>> idle_;
  Clock::time_point next_stall_check_{};
  std::atomic<bool> woken_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_http_transport(const Options& options) {
  return std::make_unique<HttpTransport>(options);
}

}  // namespace faro::store
