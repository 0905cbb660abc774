#include "store/http_transfer.hpp"

#include "base/error.hpp"

namespace faro::store {
namespace {

constexpr long receive_buffer = 256 * 1024;  // beats curl's 16 KiB by 15 %

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

}  // namespace

void set_connection(const Easy& easy, const HttpRequest& request, const Options& options) {
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  // Every new connection looks the name up and takes any of its addresses: all of a store's servers
  // are used, and one that left is forgotten.
  set(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
  set(easy, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  set(easy, CURLOPT_QUICK_EXIT, 1L);  // an end must not wait for a name server
#endif
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout * 1000));
  if (request.ca_file != nullptr) set(easy, CURLOPT_CAINFO, request.ca_file);
  set_protocols(easy, request.secure);
  set(easy, CURLOPT_URL, request.url.c_str());
  set(easy, CURLOPT_PATH_AS_IS, request.as_is ? 1L : 0L);
}

Transfer::Transfer(const Options& options) : HttpExchange(options), easy_(curl_easy_init()) {
  if (!easy_) throw std::bad_alloc();
}

void Transfer::prepare(Question question, const HttpRequest& request) {
  ask(question, request.url);
  prepared_ = Clock::now();
  error_text_[0] = '\0';
  headers_.reset();
  for (const auto& [name, value] : request.headers) append(headers_, name + ": " + value);

  curl_easy_reset(easy_.get());  // keeps connections
  set_connection(easy_, request, options_);
  // Only speed depends on it; a handle that was cut short keeps its buffer and refuses.
  curl_easy_setopt(easy_.get(), CURLOPT_BUFFERSIZE, receive_buffer);
  set(easy_, CURLOPT_USERAGENT, "faro");
  set(easy_, CURLOPT_ERRORBUFFER, error_text_.data());
  set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(easy_, CURLOPT_HEADERDATA, this);
  set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(easy_, CURLOPT_WRITEDATA, this);
  set(easy_, CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  set(easy_, CURLOPT_MAXREDIRS, most_redirects);
  set(easy_, CURLOPT_FRESH_CONNECT, request.fresh ? 1L : 0L);
  if (question == Question::head) set(easy_, CURLOPT_NOBODY, 1L);
  if (question == Question::call) {
    set_method(easy_, attempt().call);
    append(headers_, "Expect:");  // no round trip before a body
    append(headers_, "Content-Type:");
  }
  set(easy_, CURLOPT_HTTPHEADER, headers_.get());
}

// curl's callbacks: any other count than `size` ends the transfer, and no exception may cross curl.
std::size_t Transfer::on_header(char* data, std::size_t, std::size_t size, void* self) noexcept
    try {
  static_cast<Transfer*>(self)->take_head({data, size});
  return size;
} catch (...) {
  return size + 1;
}

std::size_t Transfer::on_body(char* data, std::size_t, std::size_t size, void* self) noexcept try {
  return static_cast<Transfer*>(self)->take_body(data, size) ? size : size + 1;
} catch (...) {
  return size + 1;
}

bool Transfer::redirected() const {
  long count = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_COUNT, &count);
  return count > 0;
}

// curl's low-speed limit counts in whole seconds: HttpExchange has its own.
void Transfer::look_at_sending(Clock::time_point now) {
  if (question() == Question::call) {
    curl_off_t bytes = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &bytes);
    uploaded(static_cast<std::uint64_t>(bytes), now);
  }
  curl_off_t after = 0;  // microseconds from the start; 0 while it is connecting
  curl_easy_getinfo(easy_.get(), CURLINFO_PRETRANSFER_TIME_T, &after);
  if (after > 0) sent(prepared_ + std::chrono::microseconds(after));
}

}  // namespace faro::store
