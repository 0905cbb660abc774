// Pace against stores that are made up: a queue of events on a virtual clock.
#include "store/pace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <queue>
#include <random>
#include <vector>

namespace faro::store {
namespace {

using Clock = Pace::Clock;

/// A store: what a request takes, as the number in flight is at its start.
struct Answer {
  double first_byte = 0;
  double seconds = 0;
  bool throttled = false;
};
using Store = std::function<Answer(double now, std::size_t in_flight, double bytes)>;

/// A client that always has more to send, on a virtual clock. Where `fixed` is given, at that level
/// and with parts of 16 MiB, to compare with.
struct Simulation {
  explicit Simulation(std::size_t most, std::size_t fixed_level = 0)
      : pace(most), fixed(fixed_level) {}

  struct End {
    double at, begin, bytes;
    Answer answer;
    bool operator>(const End& other) const { return at > other.at; }
  };

  static Clock::time_point time(double seconds) {
    return Clock::time_point(std::chrono::hours(1)) +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  [[nodiscard]] std::size_t level() const { return fixed > 0 ? fixed : pace.level(); }

  void send(const Store& store) {
    while (ends.size() < level()) {
      const auto size = static_cast<double>(fixed > 0 ? largest : pace.part_size(largest, room));
      pace.started(time(now), ends.size() + 1);
      const auto answer = store(now, ends.size() + 1, size);
      ends.push({now + answer.seconds, now, size, answer});
      ++requests;
    }
  }

  /// Runs until `end`; returns the bytes/s of this run.
  double run(const Store& store, double end) {
    const double begin = now;
    double total = 0;
    send(store);
    while (ends.top().at < end) {
      const auto done = ends.top();
      ends.pop();
      now = done.at;
      if (done.answer.throttled) {
        ++throttles;
        pace.throttled(time(now));
      } else {
        total += done.bytes;
        const bool starved = hunger && !hunger(now);
        pace.finished(time(now), static_cast<std::uint64_t>(done.bytes), now - done.begin,
                      done.answer.first_byte, starved);
      }
      send(store);
      lowest = std::min(lowest, level());
      highest = std::max(highest, level());
    }
    now = end;
    return total / (end - begin);
  }

  Pace pace;
  std::size_t fixed;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends;
  double now = 0;
  std::function<bool(double now)> hunger;  // where given: whether there was more to send
  std::uint64_t largest = 16 << 20;
  std::uint64_t room = std::uint64_t{4} << 30;
  std::size_t lowest = 100'000, highest = 0;
  std::size_t requests = 0, throttles = 0;
};

/// `connection` bytes/s a connection and `machine` for all, `first` s to the first byte, and noise.
class Shared {
 public:
  Shared(double connection, double machine, double first, double noise, unsigned seed)
      : connection_(connection), machine_(machine), first_(first), noise_(noise), random_(seed) {}

  Answer operator()(double now, std::size_t in_flight, double bytes) {
    // The machine's own speed wanders: another one every 50 ms, as on cores that others use too.
    if (now >= until_ || now < until_ - 0.05) {
      speed_ = std::clamp(std::normal_distribution<>(1, noise_)(random_), 0.3, 2.0);
      until_ = now + 0.05;
    }
    const double rate = std::min(connection_, machine_ / double(in_flight)) * speed_;
    const double jitter = std::uniform_real_distribution<>(0.9, 1.1)(random_);
    return {first_, first_ + bytes / rate * jitter};
  }

 private:
  double connection_, machine_, first_, noise_;
  std::mt19937 random_;
  double until_ = 0, speed_ = 1;
};

std::vector<unsigned> seeds() {
  std::vector<unsigned> all(20);
  for (unsigned i = 0; i < all.size(); ++i) all[i] = i + 1;
  return all;
}

/// What the store gives at the best of some levels.
double best_of(const Shared& store, std::size_t most) {
  double best = 0;
  for (std::size_t level = 1;; level = std::min(2 * level, most)) {
    auto copy = store;
    best = std::max(best, Simulation(most, level).run(std::ref(copy), 60));
    if (level == most) return best;
  }
}

TEST(Pace, FindsTheLevelOfASlowConnectionsStoreSoon) {
  for (const auto seed : seeds()) {
    Shared store(30e6, 1.6e9, 0.03, 0.2, seed);
    const double best = best_of(store, 128);
    Simulation simulation(128);
    simulation.run(std::ref(store), 1.5);
    EXPECT_GE(simulation.pace.level(), 55U) << seed;
    const double early = simulation.run(std::ref(store), 6);
    const double late = simulation.run(std::ref(store), 120);
    EXPECT_GE(early, 0.8 * best) << seed;
    EXPECT_GE(late, 0.95 * best) << seed;
    EXPECT_GE(simulation.pace.level(), 45U) << seed;
  }
}

TEST(Pace, UsesAllThatItMayWhereEveryConnectionAdds) {
  for (const auto seed : seeds()) {
    for (const std::size_t most : {1U, 3U, 16U, 100U}) {
      Shared store(30e6, 1e12, 0.03, 0.2, seed);
      const double best = best_of(store, most);
      Simulation simulation(most);
      simulation.run(std::ref(store), 3);
      EXPECT_GE(simulation.run(std::ref(store), 60), 0.87 * best) << seed << ' ' << most;
      EXPECT_LE(simulation.highest, most);
      EXPECT_EQ(simulation.pace.peak(), most);
    }
  }
}

TEST(Pace, StaysLowWhereOneConnectionHasItAll) {
  std::size_t sum = 0;
  for (const auto seed : seeds()) {
    Shared store(2e9, 2e9, 0.0003, 0.2, seed);
    const double best = best_of(store, 128);
    Simulation simulation(128);
    EXPECT_GE(simulation.run(std::ref(store), 120), 0.95 * best) << seed;
    EXPECT_GE(simulation.lowest, 8U) << seed;
    sum += simulation.pace.level();
  }
  EXPECT_LE(sum / seeds().size(), 80U);
}

TEST(Pace, FollowsAStoreThatChanges) {
  for (const auto seed : seeds()) {
    Shared fast(2e9, 2e9, 0.001, 0.1, seed), slow(30e6, 1.6e9, 0.03, 0.1, seed);
    const double best = best_of(slow, 128), best_fast = best_of(fast, 128);
    Simulation simulation(128);
    simulation.run(std::ref(fast), 20);
    simulation.run(std::ref(slow), 30);
    EXPECT_GE(simulation.run(std::ref(slow), 40), 0.8 * best) << seed;
    simulation.run(std::ref(fast), 50);
    EXPECT_GE(simulation.run(std::ref(fast), 60), 0.9 * best_fast) << seed;
  }
}

/// 503 where more than `limit` are in flight.
struct Throttling {
  Shared shared;
  std::size_t limit;
  Answer operator()(double now, std::size_t in_flight, double bytes) {
    if (in_flight > limit) return {0.03, 0.03, true};
    return shared(now, in_flight, bytes);
  }
};

TEST(Pace, StaysAboutWhereTheStoreThrottles) {
  for (const auto seed : seeds()) {
    Throttling store{{30e6, 1e12, 0.03, 0.1, seed}, 40};
    Simulation simulation(128);
    simulation.run(std::ref(store), 10);
    const auto requests = simulation.requests, throttles = simulation.throttles;
    const double late = simulation.run(std::ref(store), 120);
    EXPECT_GE(late, 0.65 * best_of(store.shared, 40)) << seed;
    EXPECT_LE(double(simulation.throttles - throttles),
              0.02 * double(simulation.requests - requests));
  }
}

TEST(Pace, AStoreThatIsGoneIsAskedByOneAndComesBackSoon) {
  for (const auto seed : seeds()) {
    Shared store(30e6, 1.6e9, 0.03, 0.1, seed);
    Simulation simulation(128);
    simulation.run(std::ref(store), 10);
    const auto gone = [](double, std::size_t, double) { return Answer{0, 0.2, true}; };
    simulation.run(gone, 30);
    EXPECT_EQ(simulation.pace.level(), 1U);
    simulation.run(std::ref(store), 35);
    EXPECT_GE(simulation.run(std::ref(store), 40), 0.85 * best_of(store, 128)) << seed;
  }
}

TEST(Pace, OneFlightHalvesOnce) {
  Pace pace(64);
  const auto at = [](double seconds) { return Simulation::time(seconds); };
  pace.throttled(at(0));
  EXPECT_EQ(pace.level(), 4U);
  pace.throttled(at(0.05));
  EXPECT_EQ(pace.level(), 4U);
  pace.throttled(at(0.11));
  EXPECT_EQ(pace.level(), 2U);
  for (int i = 1; i < 9; ++i) pace.throttled(at(i));
  EXPECT_EQ(pace.level(), 1U);
}

TEST(Pace, RandomThrottlingDoesNotStopIt) {
  for (const auto seed : seeds()) {
    Shared shared(30e6, 1.6e9, 0.03, 0.1, seed);
    std::mt19937 random(seed);
    const auto store = [&](double now, std::size_t in_flight, double bytes) {
      if (random() % 10 == 0) return Answer{0.03, 0.03, true};
      return shared(now, in_flight, bytes);
    };
    Simulation simulation(128);
    simulation.run(store, 60);
    const double late = simulation.run(store, 120);
    EXPECT_GE(late, 2 * 30e6) << seed;
    simulation.run(std::ref(shared), 132);
    EXPECT_GE(simulation.run(std::ref(shared), 140), 0.8 * best_of(shared, 128)) << seed;
  }
}

TEST(Pace, OnePercentOfSlowRequestsHideNothing) {
  for (const auto seed : seeds()) {
    Shared shared(30e6, 1.6e9, 0.03, 0.1, seed);
    std::mt19937 random(seed);
    const auto store = [&](double now, std::size_t in_flight, double bytes) {
      auto answer = shared(now, in_flight, bytes);
      if (random() % 100 == 0) answer.seconds *= 30;
      return answer;
    };
    Simulation simulation(128);
    simulation.run(store, 4);
    EXPECT_GE(simulation.pace.level(), 50U) << seed;
    simulation.run(store, 60);
    EXPECT_GE(simulation.pace.level(), 50U) << seed;
  }
}

TEST(Pace, WithoutWorkItLearnsNothing) {
  Shared store(30e6, 1.6e9, 0.03, 0.1, 1);
  Simulation simulation(128);
  simulation.hunger = [](double) { return false; };
  simulation.run(std::ref(store), 20);
  EXPECT_EQ(simulation.pace.level(), 8U);
  simulation.hunger = nullptr;
  simulation.run(std::ref(store), 23);
  EXPECT_GE(simulation.pace.level(), 50U);
}

TEST(Pace, PartsWaitForATwentiethOfTheirTime) {
  Shared store(30e6, 1e12, 0.03, 0, 1);
  Simulation simulation(16);
  const std::uint64_t large = 1ULL << 30, room = 1ULL << 40;
  EXPECT_EQ(simulation.pace.part_size(large, room), 4U << 20);
  EXPECT_EQ(simulation.pace.part_size(3 << 20, room), 3U << 20);
  EXPECT_EQ(simulation.pace.part_size(large, 0), 1U << 20);
  EXPECT_EQ(simulation.pace.part_size(1000, room), 1000U);
  simulation.run(std::ref(store), 30);
  const auto level = simulation.pace.level();
  const auto size = simulation.pace.part_size(large, room);
  EXPECT_GE(static_cast<double>(size), 19 * 0.03 * 30e6 * 0.9);
  EXPECT_LE(static_cast<double>(size), 19 * 0.03 * 30e6 * 1.2);
  EXPECT_EQ(simulation.pace.part_size(8 << 20, room), 8U << 20);
  EXPECT_EQ(simulation.pace.part_size(large, 64U << 20), (64U << 20) / (2 * level));
}

}  // namespace
}  // namespace faro::store
