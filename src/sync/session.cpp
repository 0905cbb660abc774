#include "sync/session.hpp"

#include <array>

#include "base/error.hpp"

namespace faro::sync {
namespace {

using What = SyncEvent::What;

/// Yields at first, sleeps longer and longer, up to a millisecond.
void pause(Steps& steps, std::uint64_t seen, unsigned& turns) {
  if (turns++ < 8) {
    yield();
  } else {
    steps.wait(seen, std::chrono::microseconds(std::min(50U * (turns - 8), 1000U)));
  }
}

}  // namespace

Session::Session(std::vector<GradientParameter> parameters, const GradientSyncOptions& options,
                 std::unique_ptr<comm::Communicator> comm, const MakeBackend& make)
    : parameters_(std::move(parameters)),
      options_(options),
      comm_(std::move(comm)),
      meetings_(comm_->duplicate()) {
  agree_on(*comm_, parameters_, options_);
  layout_ = lay_out(parameters_, options_);
  backend_ = make(parameters_, layout_, options_, *comm_);
  comm::together(*comm_, [&] {
    backend_->connect();
    steps_ = std::make_unique<Steps>(layout_, *backend_, *comm_, options_);
    ready_.resize(parameters_.size());
    for (const auto& bucket : layout_.buckets) awaited_.push_back(bucket.parameters.size());
  });
  if (comm_->concurrent()) thread_ = Thread("faro-sync", [this] { drive(); });
}

Session::~Session() {
  // A step that is complete but for its sums is not left, but ended with the others.
  if (filled_ == layout_.buckets.size() && !steps_->failure()) {
    await_step();
    if (steps_->complete()) steps_->next();
  }
  steps_->leave();
  while (!steps_->over()) {
    await_step();
    if (steps_->complete()) steps_->next();
  }
  ending_ = true;
  steps_->notify();
  if (thread_.joinable()) thread_.join();
  if (steps_->error()) {  // some ranks may still be on their way
    comm_->leave_behind();
    meetings_->leave_behind();
  }
}

void Session::refuse(const std::string& why) {
  const Error error(ErrorCode::invalid_argument, "GradientSync: " + why, comm_->rank());
  steps_->fail(error);
  throw Error(error);
}

void Session::check_well() const {
  if (const auto error = steps_->error()) throw Error(*error);
  if (const auto failure = steps_->failure()) throw Error(*failure);
}

void Session::check_between_steps(const char* call) const {
  check(ready_count_ == 0, ErrorCode::invalid_argument,
        "GradientSync: {} in the middle of step {}: wait() ends it", call, steps_->number());
}

std::span<float> Session::gradient(std::size_t parameter) {
  check(parameter < parameters_.size() && parameters_[parameter].gradient == nullptr,
        ErrorCode::invalid_argument, "GradientSync: no parameter {} lives in a bucket", parameter);
  return backend_->storage(parameter);
}

void Session::broadcast(std::span<std::byte> bytes, int root) {
  check_well();
  check_between_steps("broadcast()");
  // A meeting that can be given up, so that the broadcast finds everyone; all must say the same.
  const std::uint64_t size = bytes.size();
  const auto from = static_cast<std::uint64_t>(root);
  const bool held = backend_->holds(bytes);
  const std::uint64_t kind = held ? 1 : 0;
  auto words = std::make_unique<std::vector<std::uint64_t>>(
      std::initializer_list<std::uint64_t>{size, ~size, from, ~from, kind, ~kind});
  auto operation = meetings_->start_all_reduce(*words, comm::Op::min);
  try {
    await(*operation);
  } catch (const Error& error) {
    static_cast<void>(operation.release());
    static_cast<void>(words.release());
    steps_->fail(error);
    throw;
  }
  operation.reset();
  const auto& least = *words;
  check(least[0] == ~least[1] && least[2] == ~least[3], ErrorCode::invalid_argument,
        "GradientSync: broadcast() of {} to {} bytes from ranks {} to {}: all ranks must give the "
        "same",
        least[0], ~least[1], least[2], ~least[3]);
  check(least[4] == ~least[5], ErrorCode::invalid_argument,
        "GradientSync: broadcast() of host memory on one rank and device memory on another");
  check(root >= 0 && root < meetings_->size(), ErrorCode::invalid_argument,
        "GradientSync: broadcast() from rank {}: there are {} ranks", root, meetings_->size());
  if (!held) return meetings_->broadcast(bytes, root);
  try {
    comm::together(*meetings_, [&] { backend_->broadcast(bytes, root); });
  } catch (const Error& error) {
    steps_->fail(error);
    throw;
  }
}

void Session::set_weight(std::uint64_t weight) {
  check_between_steps("set_weight()");
  steps_->set_weight(weight);
}

void Session::ready(std::size_t parameter) {
  if (unsynchronised_ > 0) return;
  check_well();
  if (parameter < parameters_.size() && ready_[parameter]) {
    refuse(fmt::format("parameter '{}' is ready twice in step {}", parameters_[parameter].name,
                       steps_->number()));
  }
  if (parameter >= parameters_.size()) {
    refuse(
        fmt::format("there is no parameter {}: {} are registered", parameter, parameters_.size()));
  }
  steps_->trace(What::ready, parameter);
  const auto weight = steps_->weight();
  const bool mean = options_.reduction == Reduction::mean;
  try {
    backend_->put(parameter, mean || weight == 0 ? static_cast<float>(weight) : 1.0F);
  } catch (const Error& error) {
    steps_->fail(error);
    throw;
  }
  ready_[parameter] = true;
  ++ready_count_;
  --awaited_[layout_.places[parameter].bucket];
  fill();
}

void Session::fill() {
  const auto before = filled_;
  while (filled_ < awaited_.size() && awaited_[filled_] == 0) ++filled_;
  if (filled_ > before) steps_->fill(filled_);
  if (!thread_.joinable()) steps_->advance();
}

void Session::wait() {
  if (unsynchronised_ > 0) return;
  if (const auto error = steps_->error()) throw Error(*error);
  const auto step = steps_->number();
  steps_->trace(What::wait_begin, 0);
  if (ready_count_ < parameters_.size() && steps_->weight() == 0) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      if (!ready_[i]) ready(i);
    }
  }
  if (ready_count_ < parameters_.size()) {
    std::string names;
    std::size_t missing = 0;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      if (ready_[i]) continue;
      if (missing++ < 8)
        names += fmt::format("{}'{}'", names.empty() ? "" : ", ", parameters_[i].name);
    }
    if (missing > 8) names += fmt::format(" and {} more", missing - 8);
    steps_->fail(Error(ErrorCode::invalid_argument,
                       fmt::format("GradientSync: wait() in step {}, but {} of {} parameters are "
                                   "not ready: {}",
                                   step, missing, parameters_.size(), names),
                       comm_->rank()));
  }
  // One's own failure may have come too late for this step's sums; then the next one's carry it.
  for (bool ended = false; !ended;) {
    await_step();
    if (const auto error = steps_->error()) throw Error(*error);
    try {
      backend_->hand_back();
    } catch (const Error& error) {
      steps_->fail(error);
    }
    ended = !steps_->failure();
    steps_->trace(What::wait_end, 0);
    steps_->next();
  }
  ready_.assign(ready_.size(), false);
  ready_count_ = filled_ = 0;
  for (std::size_t i = 0; i < awaited_.size(); ++i) {
    awaited_[i] = layout_.buckets[i].parameters.size();
  }
}

unsigned* Session::unsynchronised() {
  check_between_steps("no_sync()");
  return &unsynchronised_;
}

std::string Session::describe() const {
  return fmt::format("{} buckets by {}, {}", buckets(), backend_->name(),
                     thread_.joinable()
                         ? "kept going by a thread of their own"
                         : "which advance in ready() and wait() alone: MPI_THREAD_MULTIPLE is not "
                           "given");
}

void Session::await_step() {
  auto start = Clock::now();
  auto ended = steps_->ended();
  unsigned turns = 0;
  for (;;) {
    const auto seen = steps_->changes();
    if (steps_->over() || steps_->complete()) return;
    if (thread_.joinable()) {
      steps_->wait(seen, std::chrono::milliseconds(20));
    } else if (steps_->advance()) {
      turns = 0;
    } else {
      pause(*steps_, seen, turns);
    }
    if (const auto now = steps_->ended(); now != ended) {
      ended = now;
      start = Clock::now();
    }
    const double seconds = seconds_since(start);
    if (seconds > options_.peer_timeout) steps_->give_up(seconds);
  }
}

void Session::await(comm::Operation& operation) {
  const auto start = Clock::now();
  unsigned turns = 0;
  while (!operation.done()) {
    pause(*steps_, steps_->changes(), turns);
    const double seconds = seconds_since(start);
    check(seconds < options_.peer_timeout, ErrorCode::peer,
          "GradientSync: not all ranks have called broadcast() for {:.3g} s", seconds);
  }
}

void Session::drive() {
  unsigned turns = 0;
  while (!ending_) {
    const auto seen = steps_->changes();
    if (steps_->advance()) {
      turns = 0;
    } else if (steps_->under_way()) {
      pause(*steps_, seen, turns);
    } else {
      steps_->wait(seen, std::chrono::milliseconds(100));
    }
  }
}

}  // namespace faro::sync
