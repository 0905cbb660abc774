// The simulation holds, repeats itself, and notices what is broken on purpose. FARO_SIM_SEEDS sets
// how many seeds are tried here; faro_sim tries more.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "run.hpp"
#include "scheduler.hpp"

namespace faro::sim {
namespace {

void run_seeds(std::uint64_t first, std::uint64_t count, Broken broken) {
  Counts counts;
  for (auto seed = first; seed < first + count; ++seed) {
    repeat_by(fmt::format("build/release/bin/faro_sim --seed {}", seed));
    run(seed, broken, counts);
  }
}

TEST(Simulation, Holds) {
  const char* seeds = std::getenv("FARO_SIM_SEEDS");
  run_seeds(1, seeds != nullptr ? std::strtoull(seeds, nullptr, 10) : 100, Broken::none);
}

TEST(Simulation, ASeedIsOneRun) {
  for (std::uint64_t seed = 1000; seed < 1030; ++seed) {
    Counts counts;
    repeat_by(fmt::format("build/release/bin/faro_sim --twice --seed {}", seed));
    const auto first = run(seed, Broken::none, counts);
    const auto second = run(seed, Broken::none, counts);
    EXPECT_EQ(first.trace, second.trace) << seed;
    EXPECT_GT(first.turns, 0U);
  }
}

struct Case {
  const char* name;
  const char* noticed;
};

class BrokenGuarantee : public testing::TestWithParam<Case> {};

TEST_P(BrokenGuarantee, IsNoticed) {
  const auto& [name, noticed] = GetParam();
  EXPECT_EXIT(
      {
        run_seeds(1, 60, broken_names.at(name));
        std::_Exit(0);
      },
      testing::ExitedWithCode(1), noticed);
}

INSTANTIATE_TEST_SUITE_P(
    Each, BrokenGuarantee,
    testing::Values(Case{"lost", "guarantee 1.*repeat: "}, Case{"duplicate", "guarantee 2"},
                    Case{"order", "guarantee 2"}, Case{"byte", "guarantee 5"},
                    Case{"message", "guarantee 5"}, Case{"reread", "guarantee 3"},
                    Case{"steps", "guarantee (4|6)"}, Case{"untold", "guarantee 6"},
                    Case{"thread", "guarantee 6, a thread is left"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace faro::sim
