#include "store/pace.hpp"

#include <algorithm>
#include <cmath>

namespace faro::store {
namespace {

using Clock = Pace::Clock;
using std::chrono::milliseconds;

constexpr std::size_t first_level = 8;
constexpr milliseconds shortest_round(100);

// Growth of the throughput for which a doubling is kept, and how near to the best the level must
// come that is settled on.
constexpr double worthwhile = 1.1;
constexpr double near_best = 0.95;
constexpr unsigned vain_rounds = 2;

// A probe up must bring a part of what the level grew by, one down must cost nothing. Rounds at
// either level take turns, as the store's speed and the machine's load change by themselves.
constexpr double probe_step = 1.25;
constexpr double probe_up_gain = 1.05;
constexpr unsigned probe_pairs = 3;
constexpr milliseconds first_spacing = std::chrono::seconds(2);
constexpr milliseconds down_spacing = std::chrono::seconds(16);
constexpr milliseconds longest_spacing = std::chrono::seconds(60);

// A held throughput this far off, three rounds in a row, is another store: growth starts anew.
constexpr double far_below = 0.65;
constexpr double far_above = 1.5;
constexpr unsigned off_rounds = 3;

// Up to this share of the level at which the store throttled the recovery doubles, then it adds 1.
constexpr double quick_share = 0.75;

constexpr double smoothing = 1.0 / 16;
// A request counts with at most this many times the usual duration: 1 % that are 100 times slower
// would hide what the level does.
constexpr double outlier = 4;

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
// Short requests tell sooner what a level is worth.
constexpr std::uint64_t growing_part = 4 * mebibyte;
constexpr double waiting_share = 1.0 / 20;

double seconds_of(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void smooth(double& value, double sample) {
  value = value == 0 ? sample : value + smoothing * (sample - value);
}

std::size_t scaled(std::size_t level, double by) {
  return static_cast<std::size_t>(std::lround(static_cast<double>(level) * by));
}

}  // namespace

Pace::Pace(std::size_t most)
    : most_(std::max<std::size_t>(most, 1)),
      level_(std::min(first_level, most_)),
      spacing_(first_spacing) {}

void Pace::advance(Clock::time_point now) {
  if (now <= advanced_) return;
  round_.flight_seconds += static_cast<double>(in_flight_) * seconds_of(now - advanced_);
  advanced_ = now;
}

void Pace::started(Clock::time_point now, std::size_t in_flight) {
  advance(now);
  if (starved_) round_ = {.begin = now};
  starved_ = false;
  in_flight_ = in_flight;
  peak_ = std::max(peak_, in_flight);
}

void Pace::finished(Clock::time_point now, std::uint64_t bytes, double seconds, double first_byte,
                    bool starved) {
  advance(now);
  if (in_flight_ > 0) --in_flight_;
  starved_ = starved;
  if (bytes == 0 || !(seconds > 0)) return;
  const auto begin = now - duration_of(seconds);
  if (request_seconds_ > 0) seconds = std::min(seconds, outlier * request_seconds_);
  smooth(request_bytes_, static_cast<double>(bytes));
  smooth(request_seconds_, seconds);
  smooth(first_byte_, std::clamp(first_byte, 0.0, seconds));

  if (starved) {
    round_ = {.begin = now};
    return;
  }
  // Requests that began before the round were in other company. Seconds are rounded by less.
  if (begin + std::chrono::microseconds(10) < round_.begin) return;
  round_.bytes += static_cast<double>(bytes);
  round_.seconds += seconds;
  ++round_.requests;
  if (round_.requests >= level_ && now - round_.begin >= shortest_round) end_round(now);
}

void Pace::end_round(Clock::time_point now) {
  const double in_flight = round_.flight_seconds / seconds_of(now - round_.begin);
  const double throughput = in_flight * round_.bytes / round_.seconds;
  switch (phase_) {
    case Phase::grow: grow(now, throughput); break;
    case Phase::hold: hold(now, throughput); break;
    case Phase::probe: probe(now, throughput); break;
    case Phase::recover: recover(now); break;
  }
  round_ = {.begin = now};
}

void Pace::grow(Clock::time_point now, double throughput) {
  double best_below = 0;
  for (const auto& trial : trials_) {
    if (trial.level < level_) best_below = std::max(best_below, trial.throughput);
  }
  if (!trials_.empty() && trials_.back().level == level_) {
    trials_.back().throughput = std::max(trials_.back().throughput, throughput);
  } else {
    trials_.push_back({level_, throughput});
  }
  if (throughput < worthwhile * best_below) {
    if (++in_vain_ >= vain_rounds) settle(now);
  } else if (level_ == most_) {
    settle(now);
  } else {
    in_vain_ = 0;
    level_ = std::min(2 * level_, most_);
  }
}

// Of the levels tried the lowest that was as good as any.
void Pace::settle(Clock::time_point now) {
  double best = 0;
  for (const auto& trial : trials_) best = std::max(best, trial.throughput);
  const auto good = std::find_if(trials_.begin(), trials_.end(), [&](const Trial& trial) {
    return trial.throughput >= near_best * best;
  });
  level_ = good->level;
  held_ = good->throughput;
  trials_.clear();
  in_vain_ = 0;
  phase_ = Phase::hold;
  off_ = 0;
  spacing_ = first_spacing;
  next_probe_ = now + spacing_;
}

void Pace::hold(Clock::time_point now, double throughput) {
  const bool off = throughput < far_below * held_ || throughput > far_above * held_;
  off_ = off && held_ > 0 ? off_ + 1 : 0;
  if (off_ >= off_rounds) {
    phase_ = Phase::grow;
    return;
  }
  if (held_ == 0) held_ = throughput;
  if (!off) held_ += (throughput - held_) / 4;
  if (now >= next_probe_) begin_probe(now);
}

void Pace::begin_probe(Clock::time_point now) {
  const auto up = std::min(std::max(scaled(level_, probe_step), level_ + 1), most_);
  const auto down = std::max(scaled(level_, 1 / probe_step), std::min(first_level, level_));
  // Below the first level nothing is saved. A look down costs more than one up: it is for a level
  // that has stood for a while.
  if (up == level_) up_ = false;
  if (down == level_) up_ = true;
  if (!up_ && spacing_ < down_spacing) {
    reject_probe(now);
    return;
  }
  other_ = up_ ? up : down;
  if (other_ == level_) {  // most is the first level, or less: there is nowhere to look
    next_probe_ = now + longest_spacing;
    return;
  }
  std::swap(level_, other_);
  phase_ = Phase::probe;
  rounds_ = 0;
  here_ = there_ = 0;
}

void Pace::probe(Clock::time_point now, double throughput) {
  (rounds_ % 2 == 0 ? there_ : here_) += throughput;
  std::swap(level_, other_);
  if (++rounds_ < 2 * probe_pairs) return;
  // An even number of turns: level_ is the old level again.
  const bool better = there_ >= (up_ ? probe_up_gain : 1.0) * here_;
  phase_ = Phase::hold;
  off_ = 0;
  if (!better) {
    reject_probe(now);
    return;
  }
  level_ = other_;
  held_ = there_ / probe_pairs;
  spacing_ = up_ ? first_spacing : down_spacing;
  begin_probe(now);
}

void Pace::reject_probe(Clock::time_point now) {
  up_ = !up_;
  spacing_ = std::min<Clock::duration>(2 * spacing_, longest_spacing);
  next_probe_ = now + spacing_;
}

void Pace::throttled(Clock::time_point now) {
  const auto flight = std::max<Clock::duration>(
      shortest_round,
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(request_seconds_)));
  if (throttled_at_ != Clock::time_point{} && now - throttled_at_ < flight) return;
  throttled_at_ = now;
  // One that goes on through several halvings says nothing of the levels on the way down.
  if (phase_ != Phase::recover || grown_) before_ = level_;
  level_ = std::max<std::size_t>(level_ / 2, 1);
  grown_ = false;
  phase_ = Phase::recover;
  trials_.clear();
  in_vain_ = 0;
  advance(now);
  round_ = {.begin = now};
}

void Pace::recover(Clock::time_point now) {
  grown_ = true;
  const auto quick = std::max<std::size_t>(scaled(before_, quick_share), 1);
  level_ = std::min(level_ < quick ? std::min(2 * level_, quick) : level_ + 1, most_);
  if (level_ == most_) {
    phase_ = Phase::hold;
    held_ = 0;
    off_ = 0;
    next_probe_ = now + spacing_;
  } else if (level_ > before_ + std::max(before_ / 4, std::size_t{4})) {
    phase_ = Phase::grow;  // what held it back is gone
  }
}

std::uint64_t Pace::part_size(std::uint64_t largest, std::uint64_t room) const noexcept {
  auto size = growing_part;
  if (request_seconds_ > first_byte_) {
    const double rate = request_bytes_ / (request_seconds_ - first_byte_);
    const double wanted = first_byte_ * (1 / waiting_share - 1) * rate;
    size = static_cast<std::uint64_t>(std::min(wanted, static_cast<double>(largest)));
    size = (size + mebibyte - 1) / mebibyte * mebibyte;
  }
  if (phase_ == Phase::grow) size = std::min(size, growing_part);
  size = std::min(size, room / (2 * level_));
  return std::min(std::max(size, mebibyte), std::max(largest, std::uint64_t{1}));
}

}  // namespace faro::store
