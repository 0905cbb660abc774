// The client: queue, routing, retries and counters over the transports.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <unordered_map>

#include "base/error.hpp"
#include "store/retry.hpp"
#include "store/uri.hpp"

namespace faro::store {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

void check_options(const Options& options) {
  check(options.max_requests >= 1 && options.max_requests <= 65536, ErrorCode::invalid_argument,
        "max_requests is {}; give 1 to 65536", options.max_requests);
  check(options.attempts >= 1, ErrorCode::invalid_argument, "attempts is 0; give at least 1");
  const auto check_seconds = [](const char* name, double value, double least) {
    check(value >= least && value <= 86400, ErrorCode::invalid_argument,
          "{} is {} s; give {} to 86400", name, value, least);
  };
  check_seconds("stall_timeout", options.stall_timeout, 0.001);
  check_seconds("connect_timeout", options.connect_timeout, 0.001);
  check_seconds("backoff", options.backoff, 0.0);
  check(options.ca_file.empty() || access(options.ca_file.c_str(), R_OK) == 0,
        ErrorCode::invalid_argument, "ca_file '{}' cannot be read", options.ca_file);
}

void check_read(const Request& request) {
  if (scheme_of(request.uri) == Scheme::other) fail_scheme(request.uri);
  const auto [offset, length] = request.range;
  static_cast<void>(checked_add(offset, length, ErrorCode::invalid_argument));
  check(request.into != nullptr, ErrorCode::invalid_argument, "{}: no memory to read into",
        redacted(request.uri));
}

// A request on its way: queued, in flight, or waiting for its next attempt.
struct Task {
  Attempt attempt;
  Scheme scheme;
  unsigned attempts = 0;
};

}  // namespace

struct Client::Impl {
  explicit Impl(const Options& given)
      : max_requests(given.max_requests),
        policy(given),
        http(make_http_transport(given)),
        // A file read that ends also ends a sleep in the http transport: see drive().
        file(make_file_transport(given, [this] { http->wake(); })) {}

  void add(Request request, bool stat) {
    const auto scheme = scheme_of(request.uri);
    auto task = std::make_unique<Task>(Task{{std::move(request), stat}, scheme});
    queue.push_back(task.get());
    tasks.emplace(&task->attempt, std::move(task));
  }

  [[nodiscard]] std::size_t in_flight() const { return http_active + file_active; }

  // Starts what may start: retries that are due, then the queue, first come first served.
  void launch() {
    const auto now = Clock::now();
    while (in_flight() < max_requests) {
      if (!waiting.empty() && waiting.begin()->first <= now) {
        Task& task = *waiting.begin()->second;
        waiting.erase(waiting.begin());
        ++counters.retries;
        start(task);
      } else if (!queue.empty()) {
        Task& task = *queue.front();
        queue.pop_front();
        start(task);
      } else {
        return;
      }
    }
  }

  void start(Task& task) {
    ++task.attempts;
    ++counters.requests;
    const bool is_file = task.scheme == Scheme::file;
    ++(is_file ? file_active : http_active);
    (is_file ? file : http)->start(task.attempt);
  }

  // Sleeps in the transport that is in use. Where both are, in http's, which a finished file read
  // wakes.
  void drive(milliseconds timeout) {
    results.clear();
    if (http_active == 0) {
      file->poll(results, timeout);
      return;
    }
    if (file_active > 0) file->poll(results, milliseconds(0));
    http->poll(results, results.empty() ? timeout : milliseconds(0));
  }

  void settle(std::vector<Completion>& done) {
    for (auto& result : results) {
      auto found = tasks.find(result.attempt);
      Task& task = *found->second;
      --(task.scheme == Scheme::file ? file_active : http_active);
      counters.requests += result.extra_requests;
      if (!task.attempt.stat) {
        (result.failure ? counters.wasted_bytes : counters.bytes) += result.received;
      }
      if (result.failure && policy.again(result.failure->cause, task.attempts)) {
        waiting.emplace(Clock::now() + policy.wait(task.attempts), &task);
        continue;
      }
      Completion completion{task.attempt.request.id, std::nullopt, std::move(result.info),
                            task.attempts};
      if (result.failure) {
        completion.error = final_error(task.attempt, *result.failure, task.attempts);
      }
      done.push_back(std::move(completion));
      tasks.erase(found);
    }
  }

  // How long drive() may sleep: until the deadline or the next retry that there is room for.
  [[nodiscard]] milliseconds sleep_time(Clock::time_point deadline) const {
    auto until = deadline;
    if (!waiting.empty() && in_flight() < max_requests) {
      until = std::min(until, waiting.begin()->first);
    }
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(until - Clock::now()));
  }

  const std::size_t max_requests;
  RetryPolicy policy;
  Counters counters;
  std::unordered_map<const Attempt*, std::unique_ptr<Task>> tasks;
  std::deque<Task*> queue;
  std::multimap<Clock::time_point, Task*> waiting;
  std::vector<Completion> ready;  // what needed no request
  std::vector<Result> results;
  std::size_t http_active = 0;
  std::size_t file_active = 0;
  std::atomic<bool> woken = false;
  // Last, so that they are destroyed first: they refer to the tasks, and the file transport's
  // threads to the http transport.
  std::unique_ptr<Transport> http;
  std::unique_ptr<Transport> file;
};

Client::Client(const Options& options) {
  check_options(options);
  impl_ = std::make_unique<Impl>(options);
}

Client::~Client() = default;

void Client::read(Request request) {
  Completion completion{.id = request.id, .error = {}, .info = {}, .attempts = 0};
  try {
    if (request.range.length > 0) {
      check_read(request);
      impl_->add(std::move(request), false);
      return;
    }
  } catch (const Error& error) {
    completion.error = error;
  }
  impl_->ready.push_back(std::move(completion));
}

void Client::stat(std::uint64_t id, std::string uri) {
  try {
    if (scheme_of(uri) == Scheme::other) fail_scheme(uri);
    Request request;
    request.id = id;
    request.uri = std::move(uri);
    impl_->add(std::move(request), true);
  } catch (const Error& error) {
    impl_->ready.push_back({.id = id, .error = error, .info = {}, .attempts = 0});
  }
}

void Client::poll(std::vector<Completion>& done, milliseconds timeout) {
  Impl& impl = *impl_;
  constexpr milliseconds longest = std::chrono::hours(1);  // the sums below stay small
  const auto deadline = Clock::now() + std::min(timeout, longest);
  const auto before = done.size();
  std::move(impl.ready.begin(), impl.ready.end(), std::back_inserter(done));
  impl.ready.clear();
  while (true) {
    impl.launch();
    const bool sleep = done.size() == before && !impl.tasks.empty() && !impl.woken;
    impl.drive(sleep ? impl.sleep_time(deadline) : milliseconds(0));
    impl.settle(done);
    if (done.size() > before || impl.tasks.empty() || impl.woken) break;
    if (Clock::now() >= deadline) break;
  }
  impl.woken = false;
  impl.launch();  // the transports work on while the caller handles what is done
}

void Client::wake() {
  impl_->woken = true;
  impl_->file->wake();
  impl_->http->wake();
}

std::size_t Client::pending() const noexcept {
  return impl_->tasks.size() + impl_->ready.size();
}

const Counters& Client::counters() const noexcept {
  return impl_->counters;
}

}  // namespace faro::store
