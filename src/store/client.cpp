// The client: requests are checked, and driven until something has come of them.
#include <algorithm>

#include "base/error.hpp"
#include "store/options.hpp"
#include "store/requests.hpp"

namespace faro::store {
namespace {

void check_read(const Request& request) {
  if (scheme_of(request.uri) == Scheme::other) fail_scheme(request.uri);
  const auto [offset, length] = request.range;
  static_cast<void>(checked_add(offset, length, ErrorCode::invalid_argument));
  check(request.into != nullptr, ErrorCode::invalid_argument, "{}: no memory to read into",
        redacted(request.uri));
}

}  // namespace

struct Client::Impl : Requests {
  using Requests::Requests;
};

Client::Client(const Options& options) {
  check_options(options);
  impl_ = std::make_unique<Impl>(options);
}

Client::~Client() = default;

void Client::read(Request request) {
  Completion completion;
  completion.id = request.id;
  completion.attempts = 0;
  try {
    if (request.range.length > 0) {
      check_read(request);
      Attempt attempt;
      attempt.request = std::move(request);
      impl_->add(std::move(attempt));
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
    Attempt attempt;
    attempt.kind = Attempt::Kind::stat;
    attempt.request.id = id;
    attempt.request.uri = std::move(uri);
    impl_->add(std::move(attempt));
  } catch (const Error& error) {
    Completion completion;
    completion.id = id;
    completion.error = error;
    completion.attempts = 0;
    impl_->ready.push_back(std::move(completion));
  }
}

void Client::call(std::uint64_t id, Call call) {
  check(scheme_of(call.uri) == Scheme::s3, ErrorCode::internal, "a call of {}, which is no s3://",
        redacted(call.uri));
  Attempt attempt;
  attempt.kind = Attempt::Kind::call;
  attempt.request.id = id;
  attempt.call = std::move(call);
  impl_->add(std::move(attempt));
}

std::uint64_t Client::part_size(std::uint64_t largest, std::uint64_t room) const {
  return impl_->pace.part_size(largest, room);
}

std::size_t Client::peak_requests() const noexcept {
  return impl_->pace.peak();
}

void Client::poll(std::vector<Completion>& done, milliseconds timeout) {
  Impl& impl = *impl_;
  constexpr milliseconds longest = std::chrono::hours(1);  // the sums below stay small
  const auto deadline = Clock::now() + std::min(timeout, longest);
  const auto before = done.size();
  std::move(impl.ready.begin(), impl.ready.end(), std::back_inserter(done));
  impl.ready.clear();
  while (true) {
    impl.note_absence();
    impl.launch(done);
    const bool sleep = done.size() == before && !impl.tasks.empty() && !impl.woken;
    impl.drive(sleep ? impl.sleep_time(deadline) : milliseconds(0));
    impl.settle(done);
    impl.watch(done);
    if (done.size() > before || impl.tasks.empty() || impl.woken) break;
    if (Clock::now() >= deadline) break;
  }
  impl.woken = false;
  impl.note_absence();
  impl.launch(done);  // the transports work on while the caller handles what is done
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
