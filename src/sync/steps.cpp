#include "sync/steps.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace faro::sync {
namespace {

// An error on its way: code, rank, length, text.
constexpr std::size_t head_words = 3;
constexpr std::size_t text_bytes = 1000;
constexpr std::size_t error_words = head_words + text_bytes / sizeof(std::uint64_t);

// Of the message, without a byte, that the sums have failed.
constexpr int failed_tag = 1;

std::vector<std::uint64_t> to_words(const Error& error, int rank) {
  std::vector<std::uint64_t> words(error_words);
  const std::string_view text = error.what();
  words[0] = static_cast<std::uint64_t>(error.code());
  words[1] = static_cast<std::uint64_t>(error.rank() >= 0 ? error.rank() : rank);
  words[2] = std::min(text.size(), text_bytes);
  std::memcpy(words.data() + head_words, text.data(), words[2]);
  return words;
}

Error to_error(const std::vector<std::uint64_t>& words) {
  const auto* text = reinterpret_cast<const char*>(words.data() + head_words);
  return {static_cast<ErrorCode>(words[0]), std::string(text, std::min(words[2], text_bytes)),
          static_cast<int>(words[1])};
}

}  // namespace

Steps::Steps(const Layout& layout, Backend& backend, comm::Communicator& comm,
             const GradientSyncOptions& options)
    : layout_(layout), backend_(backend), comm_(comm), options_(options) {}

Steps::~Steps() {
  for (auto& telling : tellings_) {  // to a rank that no longer listens
    if (!telling->done()) static_cast<void>(telling.release());
  }
}

Steps::State Steps::state() const {
  const std::scoped_lock lock(mutex_);
  return state_;
}

bool Steps::advance() noexcept {
  const auto now = state();
  if (now.over) return false;
  try {
    if (now.given_up_after > 0) {
      abandon(Error(ErrorCode::peer,
                    fmt::format("GradientSync: no progress for {:.3g} s in step {}: a rank is "
                                "silent ({} of {} buckets summed)",
                                now.given_up_after, number(), now.ended, layout_.buckets.size()),
                    comm_.rank()));
      return true;
    }
    return verdict_ == Verdict::none ? advance_sums(now) : advance_verdict(now);
  } catch (...) {  // of the layer below: no sum can carry it
    const auto error = comm::current_error(comm_.rank());
    if (backend_.apart() && verdict_ == Verdict::none) {
      break_off(error);
    } else {
      abandon(error);
    }
    return true;
  }
}

bool Steps::advance_sums(const State& now) {
  if (backend_.apart() && told()) {
    break_off(std::nullopt);
    return true;
  }
  const auto buckets = layout_.buckets.size();
  auto started = now.started;
  auto ended = now.ended;
  while (ended < started) {
    const auto note = backend_.done(ended);
    if (!note) break;
    const bool spoilt = note->failed + note->left > 0;
    if (note->left == static_cast<float>(comm_.size())) {
      change([&] { ++state_.ended; });
      finish(std::nullopt);
      return true;
    }
    if (!spoilt) {
      const bool mean = options_.reduction == Reduction::mean;
      backend_.get(ended, mean && note->weight > 0 ? note->weight : 1);
    }
    trace(SyncEvent::What::bucket_end, ended++);
    change([&] {
      state_.ended = ended;
      state_.spoilt = state_.spoilt || spoilt;
      ++all_ended_;
    });
    if (spoilt) return true;  // what follows is another matter
  }
  const bool empty = now.failure || now.leaving || now.spoilt;
  while (started < (empty ? buckets : now.filled) && (!empty || started == ended)) {
    Note note{static_cast<float>(now.weight), 0, 0};
    if (now.failure) {
      note.failed = 1;
    } else if (now.leaving) {
      note.left = 1;
    }
    backend_.start(started, note, empty);
    trace(SyncEvent::What::bucket_start, started++);
    change([&] { state_.started = started; });
  }
  if (ended == buckets && now.spoilt) {
    start_verdict(now);
    return true;
  }
  return started != now.started || ended != now.ended;
}

void Steps::start_verdict(const State& now) {
  // The least wins: an error before a rank that left, both before those that are well.
  const auto rank = static_cast<std::uint64_t>(comm_.rank());
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  words_ = std::make_unique<std::vector<std::uint64_t>>(1, now.failure   ? rank
                                                           : now.leaving ? ranks + rank
                                                                         : UINT64_MAX);
  operation_ = comm_.start_all_reduce(*words_, comm::Op::min);
  verdict_ = Verdict::whose;
}

bool Steps::told() {
  const auto message = comm_.probe(failed_tag);
  if (!message) return false;
  static_cast<void>(comm_.start_receive(*message, {}));  // its destruction waits for nothing
  return true;
}

void Steps::break_off(const std::optional<Error>& mine) noexcept {
  backend_.abandon();
  change([&] {
    if (mine && !state_.failure) state_.failure = mine;
    state_.spoilt = true;
  });
  try {
    for (int rank = 0; mine && rank < comm_.size(); ++rank) {
      if (rank != comm_.rank()) tellings_.push_back(comm_.start_send({}, rank, failed_tag));
    }
    start_verdict(state());
  } catch (...) {
    abandon(comm::current_error(comm_.rank()));
  }
}

bool Steps::advance_verdict(const State& now) {
  if (!operation_->done()) return false;
  operation_.reset();
  if (verdict_ == Verdict::what) {
    finish(to_error(*words_));
    return true;
  }
  const auto ranks = static_cast<std::uint64_t>(comm_.size());
  const auto first = words_->front();
  check(first != UINT64_MAX, ErrorCode::internal, "a step failed without a cause");
  if (first >= ranks) {
    const auto rank = static_cast<int>(first - ranks);
    finish(Error(ErrorCode::stopped,
                 fmt::format("GradientSync: rank {} left in step {}", rank, number()), rank));
    return true;
  }
  // Nobody else's words: the sum is the error.
  const bool mine = now.failure && first == static_cast<std::uint64_t>(comm_.rank());
  words_ = std::make_unique<std::vector<std::uint64_t>>(
      mine ? to_words(*now.failure, comm_.rank()) : std::vector<std::uint64_t>(error_words));
  operation_ = comm_.start_all_reduce(*words_, comm::Op::sum);
  verdict_ = Verdict::what;
  change([&] { ++all_ended_; });
  return true;
}

void Steps::finish(const std::optional<Error>& error) {
  change([&] {
    state_.error = error;
    state_.over = true;
  });
}

void Steps::abandon(const Error& error) noexcept {
  backend_.abandon();
  static_cast<void>(operation_.release());
  static_cast<void>(words_.release());
  finish(error);
}

bool Steps::under_way() const {
  const std::scoped_lock lock(mutex_);
  const bool sums = state_.started > state_.ended;
  const bool verdict = state_.spoilt;
  return !state_.over && (sums || verdict);
}

void Steps::set_weight(std::uint64_t weight) {
  const std::scoped_lock lock(mutex_);
  state_.weight = weight;
}

std::uint64_t Steps::weight() const {
  const std::scoped_lock lock(mutex_);
  return state_.weight;
}

void Steps::fill(std::size_t buckets) {
  change([&] { state_.filled = buckets; });
}

void Steps::fail(const Error& error) {
  change([&] {
    if (!state_.failure) state_.failure = error;
  });
}

std::optional<Error> Steps::failure() const {
  const std::scoped_lock lock(mutex_);
  return state_.failure;
}

void Steps::leave() {
  change([&] { state_.leaving = true; });
}

void Steps::give_up(double seconds) {
  change([&] { state_.given_up_after = seconds; });
}

bool Steps::complete() const {
  const std::scoped_lock lock(mutex_);
  return state_.ended == layout_.buckets.size() && !state_.spoilt;
}

bool Steps::over() const {
  const std::scoped_lock lock(mutex_);
  return state_.over;
}

std::optional<Error> Steps::error() const {
  const std::scoped_lock lock(mutex_);
  return state_.error;
}

void Steps::next() {
  change([&] {
    state_.filled = state_.started = state_.ended = 0;
    state_.weight = 1;
    ++number_;
  });
}

std::uint64_t Steps::number() const {
  const std::scoped_lock lock(mutex_);
  return number_;
}

std::uint64_t Steps::changes() const {
  const std::scoped_lock lock(mutex_);
  return changes_;
}

std::uint64_t Steps::ended() const {
  const std::scoped_lock lock(mutex_);
  return all_ended_;
}

void Steps::wait(std::uint64_t seen, std::chrono::microseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, Clock::now() + timeout, [&] { return changes_ != seen; });
}

void Steps::trace(SyncEvent::What what, std::size_t index) {
  if (!options_.trace) return;
  const std::scoped_lock lock(trace_mutex_);
  options_.trace({what, number(), index, seconds_since(made_)});
}

}  // namespace faro::sync
