#include "exchange/exchange.hpp"

#include <algorithm>
#include <utility>

namespace faro::exchange {
namespace {

// No rank is two rounds ahead of another, so any small range tells them apart.
int tag_of(std::uint64_t round) {
  return static_cast<int>(1 + round % 1024);
}

}  // namespace

Exchange::Exchange(const manifest::Manifest& manifest, Schedule& schedule, Arena& arena,
                   Arrivals* arrivals, comm::Communicator& comm, Progress& progress,
                   const ExchangeOptions& options)
    : manifest_(manifest),
      schedule_(schedule),
      arena_(arena),
      comm_(comm),
      progress_(progress),
      options_(options),
      route_(options.nodes, static_cast<std::uint32_t>(comm.rank()), options.way, options.parts),
      arrivals_(arrivals),
      outgoing_(manifest, arena, comm, route_, options.send_bytes, options.message_limit,
                options.hide),
      agreement_(comm, options.pressure),
      roll_call_(comm, options.grace) {
  check(!route_.remote() || arrivals != nullptr, ErrorCode::internal, "no arrival buffers");
  check(!options.hide || (route_.remote() && arrivals->mirrored()), ErrorCode::internal,
        "samples for a device, and no memory of its own to receive them");
  if (route_.remote()) {
    inbound_.emplace(route_, *arrivals, comm);
    outgoing_.prepare(options.usual_bytes);
  }
  begin_round();
}

Exchange::~Exchange() = default;

bool Exchange::finished() const {
  const std::scoped_lock lock(mutex_);
  return finished_;
}

std::optional<LocalBatch> Exchange::take() {
  std::optional<LocalBatch> batch;
  {
    const std::scoped_lock lock(mutex_);
    if (ready_.empty()) return batch;
    batch = std::move(ready_.front());
    ready_.pop_front();
    if (ready_.size() != woken_at()) return batch;
  }
  progress_.notify();
  return batch;
}

// There is room for a round while no more than one is left. To wake a thread takes its consumer as
// long as many a batch (9 us of 15, and more on virtual machines): where a round is many steps, the
// thread comes by itself, when the room of the rounds before has come; it is woken if it is late.
std::uint64_t Exchange::woken_at() const {
  constexpr std::uint64_t many = 8;
  const auto steps = schedule_.options().steps_per_round;
  return steps < many ? steps : steps / 2;
}

std::chrono::microseconds Exchange::patience() const {
  using std::chrono::microseconds;
  constexpr microseconds least{20};
  constexpr microseconds most{20'000};
  if (state_ != State::room || !was_full_) return most;
  const auto waited = Clock::now() - entered_;
  const auto left = room_took_ * 7 / 8 - waited;
  const auto wait = std::chrono::duration_cast<microseconds>(std::max(left, waited / 8));
  return std::clamp(wait, least, most);
}

std::optional<Error> Exchange::error() const {
  const std::scoped_lock lock(mutex_);
  return ready_.empty() ? error_ : std::nullopt;
}

std::optional<Error> Exchange::failure() const {
  const std::scoped_lock lock(mutex_);
  return error_;
}

std::optional<Error> Exchange::failure(std::uint64_t meeting) const {
  const std::scoped_lock lock(mutex_);
  return meeting >= missed_from_ ? told_ : std::nullopt;
}

void Exchange::finish(const std::optional<Error>& error, std::uint64_t missed_from) {
  {
    const std::scoped_lock lock(mutex_);
    error_ = told_ = error;
    missed_from_ = missed_from;
    finished_ = true;
  }
  enter(State::done);
  progress_.notify();
}

void Exchange::abandon(const Error& error) {
  // Destroying an operation waits for it, which may be for ever: let them go instead, with the
  // memory that MPI may still write to.
  agreement_.abandon();
  if (inbound_ && inbound_->abandon()) in_danger_ = true;
  outgoing_.abandon();
  finish(error, 0);
}

void Exchange::enter(State state) {
  state_ = state;
  entered_ = Clock::now();
  const bool others = state == State::status || state == State::messages;
  waiting_since_ = others ? entered_.time_since_epoch().count() : 0;
}

double Exchange::silence() const {
  const auto since = waiting_since_.load();
  if (since == 0) return 0;
  return std::chrono::duration<double>(Clock::now().time_since_epoch() - Clock::duration(since))
      .count();
}

bool Exchange::advance() {
  if (state_ != State::done && call_roll()) return true;
  switch (state_) {
    case State::blocks: return await_blocks();
    case State::status: return await_status();
    case State::room: return await_room();
    case State::messages: {
      const bool moved = await_messages();
      if (moved && state_ == State::messages) enter(state_);  // no silence
      return moved;
    }
    case State::end: return await_end();
    case State::done: return false;
  }
  return false;
}

bool Exchange::call_roll() {
  if (const double seconds = given_up_after_; seconds > 0) roll_call_.ask(seconds);
  const bool pauses = !consumer_waits_ && (state_ == State::room || state_ == State::end);
  const auto error = roll_call_.poll(pauses);
  if (error) abandon(*error);
  return error.has_value();
}

void Exchange::begin_round() {
  const bool early = std::exchange(asked_early_, false);
  if (number_ == schedule_.rounds()) {
    enter(early ? State::status : State::end);
    return;
  }
  round_ = schedule_.round(number_);
  plan_ = schedule_.epoch(round_.epoch);
  windows_.use(plan_);
  needed_ = needed(round_, *plan_);
  needed_next_.reset();
  enter(early ? State::status : State::blocks);
}

// An epoch's last round waits for all of its blocks, those that `drop` leaves out too: so whatever
// is wrong with the data set is told within the epoch.
Progress::Ready Exchange::needed(const Round& round, const EpochPlan& plan) {
  Progress::Ready needed{round.epoch, plan.order.turns()};
  if (round.last_step < plan.steps.count()) {
    const auto last = round.last_step * plan.steps.global_batch() - 1;
    const auto& span = plan.order.window(plan.order.window_of_position(last));
    needed.turn = span.first_turn + span.turns;
  }
  return needed;
}

// What this rank says of a round that needs these blocks; nothing as long as it is still reading
// and has not been silent for long.
std::optional<Agreement::Standing> Exchange::standing(const Progress::Ready& needed) const {
  using Standing = Agreement::Standing;
  if (progress_.failure()) return Standing::failed;
  if (progress_.stopping()) return Standing::leaving;
  if (progress_.ready() >= needed) return Standing::ready;
  const auto patience = std::chrono::duration<double>(options_.heartbeat);
  if (Clock::now() - entered_ < patience) return std::nullopt;
  return Standing::busy;
}

bool Exchange::await_blocks() {
  const auto mine = standing(needed_);
  if (mine) agree(*mine);
  return mine.has_value();
}

bool Exchange::await_end() {
  using Standing = Agreement::Standing;
  if (progress_.failure()) {
    agree(Standing::failed);
  } else if (progress_.ended()) {
    agree(Standing::ready);
  } else if (progress_.stopping()) {
    agree(Standing::leaving);
  } else if (consumer_waits_ &&
             Clock::now() - entered_ >= std::chrono::duration<double>(options_.heartbeat)) {
    agree(Standing::busy);  // it ends an epoch with all others, who may have left or failed
  } else {
    return false;
  }
  return true;
}

void Exchange::ask(Agreement::Standing mine) {
  arena_.sync();  // the blocks' bytes before the status
  agreement_.start(mine, progress_.failure(), progress_.missed_from());
}

void Exchange::agree(Agreement::Standing mine) {
  ask(mine);
  enter(State::status);
}

// While a round's batches are made and its messages are on their way the ranks agree on the next
// one: else every round would wait for a word to go round all of them.
void Exchange::agree_early() {
  if (asked_early_) {
    hear_early();
    return;
  }
  if (!needed_next_) {
    const auto next = number_ + 1;
    if (next == schedule_.rounds()) return;
    const auto round = schedule_.round(next);
    needed_next_ = needed(round, *schedule_.epoch(round.epoch));
  }
  const auto mine = standing(*needed_next_);
  if (mine && *mine != Agreement::Standing::busy) ask_early(*mine);
}

// A consumer that waits for those of the other ranks takes no batch, so there may be no room for
// as long. Should one of those have left, this is how it is heard.
void Exchange::listen() {
  if (asked_early_) {
    hear_early();
    return;
  }
  const auto patience = std::chrono::duration<double>(options_.heartbeat);
  if (!consumer_waits_ || Clock::now() - std::max(entered_, heard_) < patience) return;
  ask_early(progress_.failure() ? Agreement::Standing::failed : Agreement::Standing::busy);
}

void Exchange::ask_early(Agreement::Standing mine) {
  ask(mine);
  asked_early_ = true;
}

void Exchange::hear_early() {
  if (verdict_) return;  // heard, and heeded when this round is over
  verdict_ = agreement_.poll();
  if (!verdict_) return;
  if (verdict_->kind == Agreement::Verdict::Kind::again) {
    asked_early_ = false;
    heard_ = Clock::now();
    verdict_.reset();
  } else if (verdict_->kind == Agreement::Verdict::Kind::end) {
    const auto next = number_ + 1;
    const auto plan =
        next < schedule_.rounds() ? schedule_.epoch(schedule_.round(next).epoch) : plan_;
    const std::scoped_lock lock(mutex_);
    told_ = error_of(*verdict_, *plan);
    missed_from_ = verdict_->missed_from;
  }
}

Error Exchange::error_of(const Agreement::Verdict& verdict, const EpochPlan& plan) {
  if (verdict.error) return *verdict.error;
  return {ErrorCode::stopped,
          fmt::format("rank {} left in epoch {} before its end", verdict.left, plan.order.number()),
          verdict.left};
}

bool Exchange::await_status() {
  if (!verdict_) verdict_ = agreement_.poll();
  if (!verdict_) return false;
  const auto verdict = std::exchange(verdict_, std::nullopt);
  arena_.sync();  // the status before the peers' bytes
  const bool last = number_ == schedule_.rounds();
  switch (verdict->kind) {
    case Agreement::Verdict::Kind::go:
      if (last) {
        finish(std::nullopt, verdict->missed_from);
      } else {
        enter(State::room);
      }
      break;
    case Agreement::Verdict::Kind::again: enter(last ? State::end : State::blocks); break;
    case Agreement::Verdict::Kind::end:
      finish(error_of(*verdict, *plan_), verdict->missed_from);
      break;
  }
  return true;
}

bool Exchange::await_room() {
  const bool stopping = progress_.stopping();
  bool full = false;
  {
    const std::scoped_lock lock(mutex_);
    if (stopping) ready_.clear();  // nobody takes them any more
    full = ready_.size() > schedule_.options().steps_per_round;
  }
  if (full) {
    was_full_ = true;
    listen();
    return false;
  }
  if (std::exchange(was_full_, false)) room_took_ = Clock::now() - entered_;
  // Nor does anybody here need the steps before this round.
  if (stopping) arena_.publish_released(step_of_run(round_.epoch, round_.first_step));
  if (!arrivals_free()) {
    listen();
    return false;
  }
  if (inbound_) inbound_->begin(number_);
  agree_early();
  fill_slots();
  outgoing_.begin(number_, round_, plan_, windows_);
  enter(State::messages);
  return true;
}

std::uint64_t Exchange::step_of_run(std::uint64_t epoch, std::uint64_t step) const {
  return epoch * schedule_.steps_per_epoch() + step;
}

// Whether the round's arrival buffer has been given back by all who had it before: a consumer
// here has done so when there is room for the batches, those of the node's other ranks may not.
bool Exchange::arrivals_free() {
  if (!inbound_ || number_ < arrivals_->buffers()) return true;
  const auto before = schedule_.round(number_ - arrivals_->buffers());
  if (arena_.released() >= step_of_run(before.epoch, before.last_step)) return true;
  if (waiting_since_ == 0) waiting_since_ = Clock::now().time_since_epoch().count();
  return false;
}

bool Exchange::await_messages() {
  agree_early();
  const int tag = tag_of(number_);
  bool moved = outgoing_.pump(tag);
  if (inbound_) moved = inbound_->pump(tag) || moved;
  if ((inbound_ && !inbound_->done()) || !outgoing_.done()) return moved;
  end_round();
  return true;
}

void Exchange::end_round() {
  {
    const std::scoped_lock lock(mutex_);
    for (auto& batch : batches_) ready_.push_back(std::move(batch));
  }
  batches_.clear();
  const auto next =
      std::min(round_.last_step * plan_->steps.global_batch(), plan_->steps.delivered() - 1);
  windows_.forget_before(plan_->order.window_of_position(next));
  ++number_;
  progress_.notify();
  begin_round();
}

}  // namespace faro::exchange
