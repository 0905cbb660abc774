// http://, https:// and s3://: many keep-alive HTTP/1.1 connections, one thread. libcurl's multi
// interface carries all but the reads of plain http, which go to where they belong by themselves
// (http_wires.hpp).
#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "base/error.hpp"
#include "store/http_transfer.hpp"
#include "store/http_wires.hpp"
#include "store/retry.hpp"
#include "store/s3/s3.hpp"
#include "store/uri.hpp"

namespace faro::store {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Question = Transfer::Question;

constexpr unsigned most_s3_redirects = 5;

const char* method_of(Question question, const Attempt& attempt) {
  if (question == Question::head) return "HEAD";
  if (question != Question::call) return "GET";
  switch (attempt.call.method) {
    case Call::Method::get: return "GET";
    case Call::Method::put: return "PUT";
    case Call::Method::post: return "POST";
    case Call::Method::remove: return "DELETE";
  }
  return "GET";
}

s3::Headers headers_of(Question question, const Attempt& attempt) {
  if (question == Question::call) return attempt.call.headers;
  const Request& request = attempt.request;
  s3::Headers headers{{"Accept-Encoding", "identity"}};
  if (request.expect && is_strong_etag(request.expect->etag)) {
    headers.emplace_back("If-Match", request.expect->etag);
  }
  if (question != Question::head) {
    const auto [offset, length] = question == Question::read ? request.range : ByteRange{0, 1};
    headers.emplace_back("Range", fmt::format("bytes={}-{}", offset, offset + length - 1));
  }
  return headers;
}

s3::Question question_of(Question question, const Attempt& attempt) {
  s3::Question out{
      method_of(question, attempt), attempt.uri(), {}, headers_of(question, attempt), {}};
  if (question == Question::call) {
    out.query = attempt.call.query;
    out.body = attempt.call.body;
  } else {
    // Where the store keeps a checksum of the object, it tells it.
    out.headers.emplace_back("x-amz-checksum-mode", "ENABLED");
  }
  return out;
}

Multi make_multi(const Options& options) {
  // Once for the process; never undone, as the host program may use curl too.
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  check(global == CURLE_OK, ErrorCode::internal, "libcurl does not start: {}",
        curl_easy_strerror(global));
  Multi multi(curl_multi_init());
  if (!multi) throw std::bad_alloc();
  // A connection for each request in flight outlives the request.
  curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, narrow<long>(options.max_requests));
  return multi;
}

class HttpTransport final : public RemoteTransport {
 public:
  explicit HttpTransport(const Options& options)
      : options_(options), multi_(make_multi(options)), wires_(multi_.get(), options_) {}

  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  ~HttpTransport() override {
    for (auto& [attempt, carried] : active_) {
      curl_multi_remove_handle(multi_.get(), carried.transfer->handle());
    }
  }

  void start(const Attempt& attempt) override {
    Carried carried{take_idle(), scheme_of(attempt.uri()) == Scheme::s3};
    carried.transfer->begin(attempt);
    const auto question = attempt.kind == Attempt::Kind::read   ? Question::read
                          : attempt.kind == Attempt::Kind::stat ? Question::head
                                                                : Question::call;
    send(std::move(carried), question);
  }

  std::uint64_t cancel(const Attempt& attempt) override {
    auto node = active_.extract(&attempt);
    if (node.empty()) {  // it could not be sent
      std::erase_if(ready_, [&](const Result& result) { return result.attempt == &attempt; });
      return 0;
    }
    auto& transfer = node.mapped().transfer;
    release(*transfer);
    return transfer->received();
  }

  void poll(std::vector<Result>& done, milliseconds timeout) override {
    const auto before = done.size();
    const auto deadline = Clock::now() + timeout;
    for (milliseconds sleep(0);;) {
      wait(sleep);
      if (running_ > 0) require(curl_multi_perform(multi_.get(), &running_), "curl_multi_perform");
      collect();
      wires_.move(ends_);
      finish_ends();
      give_up_stalled();
      std::move(ready_.begin(), ready_.end(), std::back_inserter(done));
      ready_.clear();
      const auto now = Clock::now();
      if (done.size() > before || woken_.exchange(false) || now >= deadline) return;
      // Stalls are looked for between sleeps.
      sleep = std::chrono::ceil<milliseconds>(deadline - now);
      if (!active_.empty()) sleep = std::min(sleep, stall_check());
    }
  }

  [[nodiscard]] bool answers(const Attempt& attempt) const override {
    const auto found = active_.find(&attempt);
    return found != active_.end() && found->second.transfer->received() > 0;
  }

  [[nodiscard]] Clock::duration slept() const noexcept override { return slept_; }

  void wake() override {
    if (!woken_.exchange(true)) wires_.wake();
  }

 private:
  struct Carried {
    std::unique_ptr<Transfer> transfer;
    bool s3 = false;
    unsigned redirects = 0;
  };

  // libcurl sleeps only where it has something to do.
  void wait(milliseconds timeout) {
    if (wires_.connects()) ++running_;
    const auto before = Clock::now();
    if (running_ > 0 && timeout > milliseconds(0)) {
      curl_waitfd wires{wires_.descriptor(), CURL_WAIT_POLLIN, 0};
      require(curl_multi_poll(multi_.get(), &wires, 1, narrow<int>(timeout.count()), nullptr),
              "curl_multi_poll");
      wires_.wait(milliseconds(0));
    } else {
      wires_.wait(timeout);
    }
    if (timeout > milliseconds(0)) slept_ += Clock::now() - before;
  }

  [[nodiscard]] milliseconds stall_check() const {
    const std::chrono::duration<double> tenth(options_.stall_timeout / 10);
    return std::clamp(std::chrono::duration_cast<milliseconds>(tenth), milliseconds(5),
                      milliseconds(500));
  }

  std::unique_ptr<Transfer> take_idle() {
    if (idle_.empty()) return std::make_unique<Transfer>(options_);
    auto transfer = std::move(idle_.back());
    idle_.pop_back();
    return transfer;
  }

  s3::S3& s3() {
    if (!s3_) s3_ = std::make_unique<s3::S3>(options_);
    return *s3_;
  }

  // Where s3:// goes may be wrong, or unknown: that is how the attempt ends.
  void send(Carried carried, Question question) {
    const Attempt& attempt = carried.transfer->attempt();
    HttpRequest request;
    try {
      if (carried.s3) {
        auto target = s3().target(question_of(question, attempt));
        request.url = std::move(target.url);
        request.headers = std::move(target.headers);
      } else {
        request.url = attempt.uri();
        request.headers = headers_of(question, attempt);
        request.follow = true;
      }
    } catch (const Error& error) {
      carried.transfer->fail({cause_of(error.code()), error.what()});
      give(std::move(carried));
      return;
    }
    send_to(std::move(carried), question, std::move(request));
  }

  void send_to(Carried carried, Question question, HttpRequest request) {
    auto& transfer = *carried.transfer;
    request.secure = is_https(request.url);
    request.fresh = transfer.attempt().fresh;
    request.as_is = carried.s3;
    if (!options_.ca_file.empty()) {
      request.ca_file = options_.ca_file.c_str();
    } else if (carried.s3 && !s3().ca_bundle().empty()) {
      request.ca_file = s3().ca_bundle().c_str();
    }
    if (question == Question::read) {
      transfer.ask(question, request.url);
      if (wires_.send(transfer, request)) {
        active_.emplace(&transfer.attempt(), std::move(carried));
        return;
      }
    }
    transfer.prepare(question, request);
    CURL* handle = transfer.handle();
    curl_easy_setopt(handle, CURLOPT_PRIVATE, &transfer);
    active_.emplace(&transfer.attempt(), std::move(carried));
    require(curl_multi_add_handle(multi_.get(), handle), "curl_multi_add_handle");
    ++running_;
  }

  void release(Transfer& transfer) {
    wires_.drop(transfer);
    curl_multi_remove_handle(multi_.get(), transfer.handle());
  }

  void collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      if (wires_.connected(message->easy_handle, code, ends_)) continue;
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      auto carried = take_active(&transfer->attempt());
      transfer->end_by(code);
      if (code == CURLE_OK) learn(carried);
      finish(std::move(carried));
    }
  }

  void learn(const Carried& carried) {
    const auto& transfer = *carried.transfer;
    if (transfer.question() != Question::read || transfer.redirected()) return;
    HttpRequest request;
    request.url = transfer.url();
    request.secure = is_https(request.url);
    request.as_is = carried.s3;
    wires_.learn(request, transfer.answer());
  }

  void finish_ends() {
    const auto ends = std::exchange(ends_, {});
    for (const auto& end : ends) {
      auto carried = take_active(&end.exchange->attempt());
      if (end.unusual) {
        send(std::move(carried), Question::read);  // libcurl is asked from now on
      } else {
        finish(std::move(carried));
      }
    }
  }

  Carried take_active(const Attempt* attempt) {
    auto node = active_.extract(attempt);
    release(*node.mapped().transfer);
    return std::move(node.mapped());
  }

  void finish(Carried carried) {
    auto& transfer = *carried.transfer;
    const bool refused = carried.s3 && transfer.answer().status >= 300;
    if (refused && follow(carried)) return;
    if (transfer.wants_first_byte(carried.s3)) {
      transfer.count_request();
      send(std::move(carried), Question::first_byte);
      return;
    }
    if (refused) transfer.fail(explain(transfer));
    give(std::move(carried));
  }

  static s3::Refusal refusal_of(const Transfer& transfer) {
    const auto& answer = transfer.answer();
    return {answer.status, answer.location, answer.bucket_region,
            answer.date,   transfer.text(), transfer.url()};
  }

  Failure explain(const Transfer& transfer) {
    auto failure =
        s3().explain(question_of(transfer.question(), transfer.attempt()), refusal_of(transfer));
    failure.retry_after = transfer.answer().retry_after;
    return failure;
  }

  // Goes where a store redirects to; false where it does not redirect.
  bool follow(Carried& carried) {
    auto& transfer = *carried.transfer;
    if (carried.redirects == most_s3_redirects) return false;
    const auto question = transfer.question();
    std::optional<s3::Target> target;
    try {
      target = s3().redirected(question_of(question, transfer.attempt()), refusal_of(transfer));
    } catch (const Error& error) {  // the keys to sign it with have expired
      transfer.fail({cause_of(error.code()), error.what()});
      give(std::move(carried));
      return true;
    }
    if (!target) return false;
    ++carried.redirects;
    transfer.count_request();
    HttpRequest request;
    request.url = std::move(target->url);
    request.headers = std::move(target->headers);
    send_to(std::move(carried), question, std::move(request));
    return true;
  }

  void give(Carried carried) {
    ready_.push_back(carried.transfer->result());
    // A handle that was cut short keeps its buffer, and libcurl 7.88 then takes no other size.
    if (!ready_.back().failure) idle_.push_back(std::move(carried.transfer));
  }

  void give_up_stalled() {
    const auto now = Clock::now();
    if (now < next_stall_check_) return;
    next_stall_check_ = now + stall_check();
    std::vector<const Attempt*> stalled;
    for (auto& [attempt, carried] : active_) {
      if (!wires_.carries(*carried.transfer)) carried.transfer->look_at_sending(now);
      auto failure = carried.transfer->stalled(now);
      if (!failure) continue;
      carried.transfer->give_up(std::move(*failure));
      stalled.push_back(attempt);
    }
    for (const auto* attempt : stalled) finish(take_active(attempt));
  }

  const Options options_;
  std::unique_ptr<s3::S3> s3_;  // made for the first s3:// URI
  // The order matters: handles go before the multi handle that they may still be added to.
  Multi multi_;
  Wires wires_;
  std::vector<Wires::End> ends_;
  int running_ = 0;  // handles that libcurl works on, or more
  std::unordered_map<const Attempt*, Carried> active_;
  std::vector<std::unique_ptr<Transfer>> idle_;
  std::vector<Result> ready_;
  Clock::time_point next_stall_check_{};
  Clock::duration slept_{};
  std::atomic<bool> woken_ = false;
};

}  // namespace

std::unique_ptr<RemoteTransport> make_http_transport(const Options& options) {
  return std::make_unique<HttpTransport>(options);
}

}  // namespace faro::store
