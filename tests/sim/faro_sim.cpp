// faro_sim [--seed A] [--count N] [--broken KIND] [--twice]: simulates runs of the loader, one a
// seed. The first seed that breaks a guarantee ends it, and is printed with the command that
// repeats it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "run.hpp"
#include "scheduler.hpp"

namespace {

/// Every kind of fault that the simulation has; with enough seeds each must have occurred.
constexpr std::array kinds = {"store: connection",      "store: timeout",
                              "store: throttled",       "store: server error",
                              "store: truncated",       "store: bad answer",
                              "store: expired",         "store: slow",
                              "store: wrong bytes",     "store: outage",
                              "store: outage for good", "store: rotten",
                              "store: refused",         "store: hedged",
                              "store: hedge won",       "store: cancelled",
                              "network: late",          "network: a call fails",
                              "consumer: leaves",       "consumer: throws",
                              "consumer: overholds",    "consumer: falls silent",
                              "rank: freezes",          "rank: dies",
                              "bytes between nodes"};

}  // namespace

int main(int argc, char** argv) {
  using namespace faro::sim;
  std::uint64_t first = 1;
  std::uint64_t count = 1;
  auto broken = Broken::none;
  bool twice = false;
  CLI::App app("simulated runs of the loader");
  app.add_option("--seed", first, "the first one");
  app.add_option("--count", count, "of seeds");
  app.add_option("--broken", broken, "break a guarantee on purpose")
      ->transform(CLI::CheckedTransformer(broken_names));
  app.add_flag("--twice", twice, "each seed twice: it must take the same way");
  CLI11_PARSE(app, argc, argv);

  const auto start = std::chrono::steady_clock::now();
  Counts counts;
  std::uint64_t turns = 0;
  double seconds = 0;
  for (auto seed = first; seed < first + count; ++seed) {
    repeat_by(fmt::format("{} --seed {}", argv[0], seed));
    const auto outcome = run(seed, broken, counts);
    if (twice && run(seed, broken, counts).trace != outcome.trace) {
      fail("the seed's second run took another way");
    }
    turns += outcome.turns;
    seconds += outcome.seconds;
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print(
      "{} seeds from {} in {:.1f} s: {} turns of threads, {:.1f} s of virtual time; no "
      "guarantee broken\n",
      count, first, took, turns, seconds);
  for (const auto& [kind, times] : counts) fmt::print("  {:<24} {}\n", kind, times);
  if (count < 1000) return 0;
  for (const char* kind : kinds) {
    if (!counts.contains(kind) || counts.at(kind) == 0) fail(fmt::format("no {} occurred", kind));
  }
  return 0;
}
