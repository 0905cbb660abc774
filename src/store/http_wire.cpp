#include "store/http_wire.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "store/http_transfer.hpp"

namespace faro::store {
namespace {

// What is received at once is summed while it is in the processor's cache.
constexpr std::size_t piece = 256 * 1024;
constexpr std::size_t head_piece = 4096;
constexpr unsigned turns = 4;        // before others have theirs
constexpr long least_buffer = 1024;  // libcurl's, which only connects

}  // namespace

Wire::Wire(const HttpRequest& request, std::string origin, const Options& options)
    : easy_(curl_easy_init()), origin_(std::move(origin)) {
  if (!easy_) throw std::bad_alloc();
  set_connection(easy_, request, options);
  set(easy_, CURLOPT_ERRORBUFFER, error_text_.data());
  set(easy_, CURLOPT_BUFFERSIZE, least_buffer);
  set(easy_, CURLOPT_FRESH_CONNECT, 1L);
  set(easy_, CURLOPT_CONNECT_ONLY, 1L);
  // A proxy is asked for a tunnel, which tells that there is one: see connected().
  set(easy_, CURLOPT_HTTPPROXYTUNNEL, 1L);
}

void Wire::ask(HttpExchange& exchange, HttpRequest request, std::string text) {
  exchange_ = &exchange;
  request_ = std::move(request);
  text_ = std::move(text);
  sent_ = 0;
  head_ = {};
  left_ = 0;
}

bool Wire::connected() {
  long answered = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &answered);
  curl_socket_t socket = CURL_SOCKET_BAD;
  curl_easy_getinfo(easy_.get(), CURLINFO_ACTIVESOCKET, &socket);
  socket_ = socket;
  return answered == 0;
}

void Wire::rest() {
  exchange_ = nullptr;
  used_ = true;
  resting_since_ = Clock::now();
}

// A server that closes it, or says more than it was asked, can be asked no more.
bool Wire::quiet() const {
  char byte = 0;
  return recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

Wire::State Wire::move() {
  // There is no answer yet to what is not sent.
  if (sending()) return push() ? State::waits : broken(CURLE_SEND_ERROR, errno);
  auto state = State::going;
  for (unsigned turn = 0; turn < turns && state == State::going; ++turn) {
    state = head_.whole() ? take_body() : take_head();
  }
  return state;
}

bool Wire::push() {
  const auto count =
      send(socket_, text_.data() + sent_, text_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count < 0) return errno == EAGAIN;
  sent_ += static_cast<std::size_t>(count);
  if (!sending()) exchange_->sent(Clock::now());
  return true;
}

Wire::State Wire::take_head() {
  std::array<char, head_piece> buffer;
  const auto count = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return State::waits;
  if (count <= 0) return broken(count == 0 ? CURLE_GOT_NOTHING : CURLE_RECV_ERROR, errno);
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
  while (!bytes.empty() && !head_.whole()) {
    bytes.remove_prefix(
        head_.take(bytes, [&](std::string_view line) { exchange_->take_head(line); }));
    if (head_.wrong() != nullptr) {
      kept_ = false;
      exchange_->fail({Cause::bad_answer, head_.wrong()});
      return State::ended;
    }
    if (head_.whole() && framing_of(exchange_->answer()) == Framing::interim) head_.next();
  }
  if (!head_.whole()) return State::going;
  const auto state = head_is_whole();
  return state == State::going && !bytes.empty() ? give(bytes) : state;
}

Wire::State Wire::head_is_whole() {
  const auto& answer = exchange_->answer();
  const auto framing = framing_of(answer);
  const bool redirect = request_.follow && answer.status >= 300 && answer.status < 400;
  if (framing == Framing::unusual || redirect) return State::unusual;
  kept_ = !answer.closes;
  left_ = framing == Framing::length ? *answer.content_length : 0;
  exchange_->check_head();
  return left_ > 0 ? State::going : end(CURLE_OK);
}

Wire::State Wire::take_body() {
  std::array<char, 2 * head_piece> text;
  auto place = exchange_->room();
  if (place.empty()) place = std::as_writable_bytes(std::span(text));
  const auto size = std::min<std::uint64_t>({place.size(), left_, piece});
  const auto count = recv(socket_, place.data(), size, MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return State::waits;
  if (count <= 0) return broken(count == 0 ? CURLE_PARTIAL_FILE : CURLE_RECV_ERROR, errno);
  const auto taken = static_cast<std::size_t>(count);
  if (exchange_->room().empty()) return give({text.data(), taken});
  exchange_->filled(taken);
  left_ -= taken;
  if (left_ == 0) return end(CURLE_OK);
  return taken < size ? State::waits : State::going;
}

// Bytes of the body that came with the head, or are no part of an object.
Wire::State Wire::give(std::string_view bytes) {
  if (bytes.size() > left_) kept_ = false;
  bytes = bytes.substr(0, left_);
  left_ -= bytes.size();
  if (!exchange_->take_body(bytes.data(), bytes.size())) {
    kept_ = false;
    return end(CURLE_WRITE_ERROR);
  }
  return left_ > 0 ? State::going : end(CURLE_OK);
}

Wire::State Wire::broken(CURLcode code, int error) {
  kept_ = false;
  // A server may close a connection that rests just as it is used again.
  if (used_ && head_.empty()) return State::stale;
  const bool closed = code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING;
  return end(code, code == CURLE_GOT_NOTHING ? "Empty reply from server"
                   : closed                  ? ""
                                             : std::strerror(error));
}

Wire::State Wire::end(CURLcode code, const char* text) {
  exchange_->end(code, text);
  return State::ended;
}

}  // namespace faro::store
