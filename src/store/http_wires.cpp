#include "store/http_wires.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"

namespace faro::store {
namespace {

using Clock = HttpExchange::Clock;

// Gateways forget connections that rest, and do not say so; libcurl has the same limit.
constexpr auto longest_rest = std::chrono::seconds(118);

struct UrlCleanup {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};

// Empty where the URL has no such part.
std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

}  // namespace

Wires::Wires(CURLM* multi, const Options& options)
    : multi_(multi),
      options_(options),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  check(epoll_ >= 0 && wake_ >= 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0,
        ErrorCode::internal, "no more file descriptors for the store's requests: raise ulimit -n");
}

Wires::~Wires() {
  for (auto& [handle, wire] : wires_) curl_multi_remove_handle(multi_, handle);
  close(epoll_);
  close(wake_);
}

// What is rare is left to libcurl: TLS, users in URLs, names in other alphabets, zones.
std::optional<Wires::Target> Wires::target_of(const HttpRequest& request) {
  const std::unique_ptr<CURLU, UrlCleanup> url(curl_url());
  if (!url) throw std::bad_alloc();
  const unsigned flags = request.as_is ? CURLU_PATH_AS_IS : 0;
  if (request.secure ||
      curl_url_set(url.get(), CURLUPART_URL, request.url.c_str(), flags) != CURLUE_OK) {
    return std::nullopt;
  }
  const auto host = part_of(url.get(), CURLUPART_HOST);
  const auto port = part_of(url.get(), CURLUPART_PORT);
  const auto query = part_of(url.get(), CURLUPART_QUERY);
  const bool plain = std::all_of(host.begin(), host.end(),
                                 [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '%'; });
  if (!plain || host.empty() || !part_of(url.get(), CURLUPART_USER).empty()) return std::nullopt;
  const auto authority = port.empty() ? host : host + ":" + port;

  Target out{"http://" + authority, {}};
  out.text = "GET " + part_of(url.get(), CURLUPART_PATH) + (query.empty() ? "" : "?" + query) +
             " HTTP/1.1\r\n";
  const bool named = std::any_of(request.headers.begin(), request.headers.end(),
                                 [](const auto& header) { return header.first == "Host"; });
  if (!named) out.text += "Host: " + authority + "\r\n";
  out.text += "User-Agent: faro\r\nAccept: */*\r\n";
  for (const auto& [name, value] : request.headers) out.text += name + ": " + value + "\r\n";
  out.text += "\r\n";
  return out;
}

void Wires::learn(const HttpRequest& request, const HttpAnswer& answer) {
  if (framing_of(answer) != Framing::length || answer.status >= 300) return;
  if (auto target = target_of(request)) usual_.emplace(std::move(target->origin), true);
}

bool Wires::send(HttpExchange& exchange, const HttpRequest& request) {
  auto target = target_of(request);
  if (!target) return false;
  const auto known = usual_.find(target->origin);
  if (known == usual_.end() || !known->second) return false;
  auto* wire = request.fresh ? nullptr : take_resting(target->origin);
  if (wire == nullptr) {
    connect(exchange, request, std::move(*target));
    return true;
  }
  wire->ask(exchange, request, std::move(target->text));
  busy_.emplace(&exchange, wire);
  wire->push();
  if (wire->sending()) watch(*wire, EPOLL_CTL_MOD);
  return true;
}

void Wires::connect(HttpExchange& exchange, HttpRequest request, Target target) {
  auto made = std::make_unique<Wire>(request, std::move(target.origin), options_);
  auto& wire = *made;
  wires_.emplace(wire.handle(), std::move(made));
  wire.ask(exchange, std::move(request), std::move(target.text));
  busy_.emplace(&exchange, &wire);
  require(curl_multi_add_handle(multi_, wire.handle()), "curl_multi_add_handle");
  connects_ = true;
}

Wire* Wires::take_resting(const std::string& origin) {
  auto& resting = resting_[origin];
  const auto oldest = Clock::now() - longest_rest;
  while (!resting.empty()) {
    auto* wire = resting.back();
    resting.pop_back();
    if (wire->resting_since() >= oldest && wire->quiet()) return wire;
    remove(*wire);
  }
  return nullptr;
}

void Wires::drop(const HttpExchange& exchange) {
  const auto found = busy_.find(&exchange);
  if (found != busy_.end()) remove(*found->second);
}

void Wires::remove(Wire& wire) {
  busy_.erase(wire.exchange());
  std::erase(resting_[wire.origin()], &wire);
  if (wire.socket() >= 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, wire.socket(), nullptr);
  curl_multi_remove_handle(multi_, wire.handle());  // closes the connection
  const auto found = wires_.find(wire.handle());
  removed_.push_back(std::move(found->second));
  wires_.erase(found);
}

void Wires::watch(Wire& wire, int operation) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = &wire}};
  if (wire.sending()) event.events |= EPOLLOUT;
  check(epoll_ctl(epoll_, operation, wire.socket(), &event) == 0, ErrorCode::internal,
        "epoll_ctl fails for a connection to {}", wire.origin());
}

bool Wires::connected(CURL* handle, CURLcode code, std::vector<End>& ends) {
  const auto found = wires_.find(handle);
  if (found == wires_.end()) return false;
  auto& wire = *found->second;
  if (!wire.connected()) {
    leave_to_libcurl(wire, ends);
  } else if (code != CURLE_OK) {
    wire.exchange()->end(code, wire.error());
    ends.push_back({wire.exchange(), false});
    remove(wire);
  } else {
    wire.push();
    watch(wire, EPOLL_CTL_ADD);
  }
  return true;
}

void Wires::leave_to_libcurl(Wire& wire, std::vector<End>& ends) {
  usual_[wire.origin()] = false;
  ends.push_back({wire.exchange(), true});
  remove(wire);
}

void Wires::wait(std::chrono::milliseconds timeout) {
  ready_ = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()),
                      static_cast<int>(timeout.count()));
}

void Wires::move(std::vector<End>& ends) {
  for (int i = 0; i < ready_; ++i) {
    auto* wire = static_cast<Wire*>(events_[static_cast<std::size_t>(i)].data.ptr);
    if (wire == nullptr) {
      eventfd_t count = 0;
      eventfd_read(wake_, &count);
    } else if (wires_.contains(wire->handle())) {
      move(*wire, ends);
    }
  }
  ready_ = 0;
  removed_.clear();
}

void Wires::move(Wire& wire, std::vector<End>& ends) {
  auto* exchange = wire.exchange();
  if (exchange == nullptr) {  // the server closes it, or says what nobody asked
    remove(wire);
    return;
  }
  const bool was_sending = wire.sending();
  switch (wire.move()) {
    case Wire::State::going:
    case Wire::State::waits:
      if (was_sending && !wire.sending()) watch(wire, EPOLL_CTL_MOD);
      return;
    case Wire::State::stale: {
      auto request = wire.request();
      Target target{wire.origin(), wire.text()};
      remove(wire);
      connect(*exchange, std::move(request), std::move(target));
      return;
    }
    case Wire::State::unusual:
      exchange->count_request();
      leave_to_libcurl(wire, ends);
      return;
    case Wire::State::ended: break;
  }
  ends.push_back({exchange, false});
  if (!wire.kept()) {
    remove(wire);
    return;
  }
  busy_.erase(exchange);
  wire.rest();
  resting_[wire.origin()].push_back(&wire);
}

void Wires::wake() noexcept {
  eventfd_write(wake_, 1);
}

}  // namespace faro::store
