#include "scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace faro::sim {
namespace {

// Runs end within seconds of virtual time; those with faults within minutes.
constexpr double longest = 3600;
constexpr std::uint64_t most_turns = 20'000'000;

struct Told {
  std::string command;
  std::string context;
};
Told& told() {
  static Told all;
  return all;
}

}  // namespace

void repeat_by(const std::string& text) {
  told().command = text;
}

void context(const std::string& what) {
  told().context = what;
}

void fail(const std::string& what) {
  fmt::print(stderr, "FAILED: {}\n({})\nrepeat: {}\n", what, told().context, told().command);
  std::fflush(nullptr);
  std::_Exit(1);
}

Scheduler::Scheduler(std::uint64_t seed, std::vector<Pace> ranks)
    : random_(seed), ranks_(std::move(ranks)) {}

void Scheduler::run(const std::function<void(int)>& work) {
  threads_.emplace_back();
  current_ = &threads_.back();
  current_->name = "the simulation";
  current_->rank = -1;
  current_->fiber = std::make_unique<Fiber>();
  runtime() = this;
  std::vector<SimThread*> started;
  for (int rank = 0; rank < static_cast<int>(ranks_.size()); ++rank) {
    started.push_back(add(rank, fmt::format("rank {}", rank), [&work, rank] { work(rank); }));
  }
  const auto dead = [this](int rank) {
    const auto& pace = ranks_[static_cast<std::size_t>(rank)];
    return pace.frozen_from != TimePoint::max() && pace.frozen_until == TimePoint::max();
  };
  std::vector<SimThread*> left;
  for (auto* thread : started) {
    while (!thread->ended && !dead(thread->rank)) await(thread);
    if (!thread->ended) left.push_back(thread);
  }
  for (auto* thread : left) {
    ranks_[static_cast<std::size_t>(thread->rank)].frozen_until = now_;
    while (!thread->ended) await(thread);
  }
  for (const auto& thread : threads_) {
    if (&thread != current_ && !thread.ended) stuck("a thread is left");
  }
  runtime() = nullptr;
}

void Scheduler::freeze(int rank, Clock::time_point from, std::optional<Clock::duration> time) {
  auto& pace = ranks_[static_cast<std::size_t>(rank)];
  pace.frozen_from = from;
  pace.frozen_until = time ? from + *time : TimePoint::max();
}

void Scheduler::live_on(int rank) {
  auto& pace = ranks_[static_cast<std::size_t>(rank)];
  if (pace.frozen_until == TimePoint::max()) pace.frozen_from = TimePoint::max();
}

void Scheduler::pause(Clock::duration time) {
  current_->what = "the time of a pause";
  current_->due = now_ + time;
  hand_over();
}

Clock::duration Scheduler::cost(int rank) {
  if (rank < 0) return {};
  const auto& pace = ranks_[static_cast<std::size_t>(rank)];
  auto time = pace.slowness * random_.real(0.3e-6, 3e-6);
  if (random_.chance(pace.stalls)) time += random_.real(0, 3e-3);
  return seconds(time) + Clock::duration(1);
}

void Scheduler::yield() {
  current_->what = "its turn";
  current_->due = now_ + cost(current_->rank);
  hand_over();
}

void Scheduler::sleep(const void* condition, const char* what, std::unique_lock<std::mutex>& lock,
                      TimePoint until) {
  auto* self = current_;
  self->condition = condition;
  self->what = what;
  self->due = until == TimePoint::max() ? until : std::max(until, now_ + cost(self->rank));
  lock.unlock();
  hand_over();
  self->condition = nullptr;
  lock.lock();
}

void Scheduler::wake(const void* condition) {
  for (auto& thread : threads_) {
    if (thread.condition != condition) continue;
    thread.due = std::min(thread.due, now_ + 5 * cost(thread.rank));
  }
}

std::function<void()> Scheduler::start(const char* name, std::function<void()> work) {
  auto* thread =
      add(current_->rank, fmt::format("{} of rank {}", name, current_->rank), std::move(work));
  return [this, thread] { join(thread); };
}

Scheduler::SimThread* Scheduler::add(int rank, const std::string& name,
                                     std::function<void()> work) {
  auto& thread = threads_.emplace_back();
  thread.name = name;
  thread.rank = rank;
  thread.due = now_ + 5 * cost(rank);
  thread.fiber = std::make_unique<Fiber>([this, work = std::move(work)] {
    work();
    end();
  });
  return &thread;
}

void Scheduler::await(SimThread* thread) {
  current_->condition = thread;
  current_->what = "the end of a thread";
  current_->due = current_->rank < 0 ? now_ + std::chrono::milliseconds(10) : TimePoint::max();
  hand_over();
  current_->condition = nullptr;
}

void Scheduler::join(SimThread* thread) {
  while (!thread->ended) await(thread);
}

void Scheduler::end() {
  auto* self = current_;
  self->ended = true;
  self->due = TimePoint::max();
  wake(self);
  current_ = next();
  self->fiber->switch_to(*current_->fiber, true);
}

void Scheduler::hand_over() {
  auto* self = current_;
  auto* chosen = next();
  if (chosen == self) return;
  current_ = chosen;
  self->fiber->switch_to(*chosen->fiber);
}

Scheduler::SimThread* Scheduler::next() {
  SimThread* first = nullptr;
  std::uint64_t index = 0;
  std::uint64_t chosen = 0;
  for (auto& thread : threads_) {
    ++index;
    if (thread.ended || thread.due == TimePoint::max()) continue;
    if (thread.rank >= 0) {
      const auto& pace = ranks_[static_cast<std::size_t>(thread.rank)];
      if (thread.due >= pace.frozen_from && thread.due < pace.frozen_until) {
        if (pace.frozen_until == TimePoint::max()) continue;
        thread.due = pace.frozen_until;
      }
    }
    if (first == nullptr || thread.due < first->due) {
      first = &thread;
      chosen = index;
    }
  }
  if (first == nullptr) stuck("deadlock: nobody's turn will come");
  now_ = std::max(now_, first->due);
  if (++turns_ > most_turns || elapsed() > longest) stuck("no end in sight");
  trace_ =
      Random(trace_ ^ chosen ^ static_cast<std::uint64_t>(now_.time_since_epoch().count()) << 8)
          .next();
  return first;
}

void Scheduler::stuck(const char* why) {
  auto text =
      fmt::format("guarantee 6, {} ({:.6f} s of virtual time, {} turns)", why, elapsed(), turns_);
  for (const auto& thread : threads_) {
    if (thread.ended) continue;
    text += fmt::format("\n  {} waits for {}", thread.name, thread.what);
    if (thread.due != TimePoint::max()) {
      text += fmt::format(", until {:.6f} s",
                          std::chrono::duration<double>(thread.due - TimePoint(begin)).count());
    }
  }
  fail(text);
}

}  // namespace faro::sim
