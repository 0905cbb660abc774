// Placement is a pure function: on machines that this one is not.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "topology/topology.hpp"

namespace faro::topology {
namespace {

Machine machine(const std::string& name) {
  return Topology::load(std::string(MACHINES) + "/" + name + ".xml").machine();
}

std::vector<LocalRank> unbound(const Machine& machine, std::size_t ranks) {
  return std::vector<LocalRank>(ranks, LocalRank{machine.cpus, std::nullopt});
}

bool says(const Placement& placed, std::string_view text) {
  return std::any_of(placed.notes.begin(), placed.notes.end(),
                     [&](const auto& note) { return note.find(text) != std::string::npos; });
}

std::string text(const Placement& placed) {
  std::string all;
  for (const auto& note : placed.notes) all += note + "; ";
  return all;
}

bool within(const CpuSet& inner, const CpuSet& outer) {
  return std::includes(outer.begin(), outer.end(), inner.begin(), inner.end());
}

// What holds for every placement: never outside what the rank may use, no core twice, a core left
// for each consumer.
void check_bounds(const Machine& machine, std::span<const LocalRank> ranks,
                  std::span<const Placement> placed) {
  ASSERT_EQ(placed.size(), ranks.size());
  CpuSet taken;
  for (std::size_t rank = 0; rank < placed.size(); ++rank) {
    const auto& one = placed[rank];
    SCOPED_TRACE(rank);
    EXPECT_FALSE(one.cpus.empty());
    EXPECT_TRUE(within(one.cpus, machine.cpus));
    if (!common(ranks[rank].cpus, machine.cpus).empty()) {
      EXPECT_TRUE(within(one.cpus, ranks[rank].cpus));
    }
    EXPECT_EQ(one.fetch.empty(), one.communication.empty());
    for (const auto& thread : {one.fetch, one.communication}) {
      EXPECT_TRUE(within(thread, one.cpus));
      EXPECT_TRUE(common(thread, taken).empty()) << to_string(thread);
      taken.insert(thread.begin(), thread.end());
    }
    EXPECT_EQ(one.gpu.has_value(),
              !machine.gpus.empty() && (!ranks[rank].gpus || !ranks[rank].gpus->empty()));
    EXPECT_EQ(one.nic.has_value(), !machine.nics.empty());
    EXPECT_FALSE(one.notes.empty());
  }
  for (const auto& one : placed) EXPECT_FALSE(within(one.cpus, taken));
}

TEST(Place, EachRankOfADgxHasItsGpuAndTheNicBelowTheSameSwitch) {
  for (const char* name : {"dgx", "dgx-unnamed"}) {
    const auto dgx = machine(name);
    const auto ranks = unbound(dgx, 8);
    const auto placed = place(dgx, ranks);
    check_bounds(dgx, ranks, placed);
    for (std::size_t rank = 0; rank < 8; ++rank) {
      SCOPED_TRACE(rank);
      const auto& one = placed[rank];
      EXPECT_EQ(one.gpu, rank);
      EXPECT_EQ(dgx.nics[*one.nic].name, fmt::format("mlx5_{0} (ib{0})", rank));
      EXPECT_EQ(one.numa, rank / 4);
      EXPECT_TRUE(within(one.fetch, dgx.nics[*one.nic].cpus));
      EXPECT_TRUE(within(one.communication, dgx.nics[*one.nic].cpus));
      EXPECT_EQ(one.fetch.size(), 2U);  // a core's two processors
      EXPECT_TRUE(says(one, "not bound by the launcher")) << text(one);
    }
  }
}

TEST(Place, RanksBoundToPackagesGetGpusOfTheirs) {
  const auto dgx = machine("dgx");
  // In turn, as `mpirun --map-by socket --bind-to socket` does it.
  std::vector<LocalRank> ranks;
  for (std::size_t i = 0; i < 8; ++i) ranks.push_back({dgx.packages[i % 2], std::nullopt});
  const auto placed = place(dgx, ranks);
  check_bounds(dgx, ranks, placed);
  std::set<std::size_t> gpus;
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(*placed[i].gpu / 4, i % 2);
    EXPECT_EQ(*placed[i].nic / 4, i % 2);
    EXPECT_EQ(placed[i].numa, i % 2);
    EXPECT_TRUE(says(placed[i], fmt::format("to NUMA node {}", i % 2))) << text(placed[i]);
    gpus.insert(*placed[i].gpu);
  }
  EXPECT_EQ(gpus.size(), 8U);
}

TEST(Place, BoundToACoreThreadsStayThere) {
  const auto dgx = machine("dgx");
  std::vector<LocalRank> ranks;
  for (std::size_t i = 0; i < 4; ++i) ranks.push_back({dgx.cores[8 * i], std::nullopt});
  const auto placed = place(dgx, ranks);
  check_bounds(dgx, ranks, placed);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(placed[i].fetch.empty());
    EXPECT_TRUE(says(placed[i], fmt::format("bound by the launcher to core {}", 8 * i)));
    EXPECT_TRUE(says(placed[i], "1 core for 1 rank of 3 busy threads: threads are not bound"))
        << text(placed[i]);
    EXPECT_FALSE(placed[i].keeps_off);
    EXPECT_EQ(placed[i].numa, i / 2);
    EXPECT_EQ(*placed[i].gpu / 4, i / 2);
  }
}

TEST(Place, FewerCoresThanBusyThreadsBindNothing) {
  const auto laptop = machine("laptop");
  const auto one = place(laptop, unbound(laptop, 1));
  check_bounds(laptop, unbound(laptop, 1), one);
  EXPECT_FALSE(one[0].fetch.empty());
  const auto two = place(laptop, unbound(laptop, 2));
  for (const auto& placed : two) {
    EXPECT_TRUE(placed.fetch.empty());
    EXPECT_TRUE(says(placed, "4 cores for 2 ranks of 3 busy threads")) << text(placed);
    EXPECT_TRUE(placed.keeps_off) << "two cores each";
    EXPECT_EQ(placed.numa, 0U);
    EXPECT_FALSE(placed.gpu);
  }
}

TEST(Place, NothingIsBoundWhereThatIsSwitchedOff) {
  const auto dgx = machine("dgx");
  for (const auto& placed : place(dgx, unbound(dgx, 2), false)) {
    EXPECT_TRUE(placed.fetch.empty() && placed.communication.empty());
    EXPECT_TRUE(says(placed, "bind = none"));
    EXPECT_TRUE(placed.gpu && placed.nic);
  }
}

TEST(Place, CpusOfAnotherMachineCountAsNotBound) {
  const auto laptop = machine("laptop");
  const std::vector<LocalRank> ranks{{{100, 101}, std::nullopt}, {{}, std::nullopt}};
  const auto placed = place(laptop, ranks);
  check_bounds(laptop, ranks, placed);
  EXPECT_EQ(placed[0].cpus, laptop.cpus);
  EXPECT_TRUE(says(placed[0], "its cpus 100-101 are none of this machine's")) << text(placed[0]);
  EXPECT_TRUE(says(placed[1], "its cpus none")) << text(placed[1]);
}

TEST(Place, OverlappingRanksNeverShareABoundCore) {
  const auto bare = machine("bare");
  const auto run = [](unsigned first, unsigned last) {
    CpuSet cpus;
    for (unsigned cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
    return cpus;
  };
  // A chain of overlaps; the middle one has the least choice.
  const std::vector<LocalRank> chain{{run(0, 7), {}}, {run(6, 8), {}}, {run(8, 15), {}}};
  const auto placed = place(bare, chain);
  check_bounds(bare, chain, placed);
  EXPECT_FALSE(placed[1].fetch.empty()) << text(placed[1]);
  // Enough cores in all, but not for the two that have three between them.
  const std::vector<LocalRank> tight{{run(0, 2), {}}, {run(0, 2), {}}, {run(2, 15), {}}};
  for (const auto& one : place(bare, tight)) {
    EXPECT_TRUE(one.fetch.empty());
    EXPECT_TRUE(says(one, "cores are shared such that")) << text(one);
  }
  // Those that share nothing are placed apart from those that do.
  const std::vector<LocalRank> apart{{run(0, 1), {}}, {run(0, 1), {}}, {run(2, 15), {}}};
  const auto mixed = place(bare, apart);
  EXPECT_TRUE(mixed[0].fetch.empty() && mixed[1].fetch.empty());
  EXPECT_FALSE(mixed[2].fetch.empty());
}

TEST(Place, TheNicIsTheFabricThatIsUp) {
  const auto cpu = machine("cpu");
  const auto ranks = unbound(cpu, 2);
  const auto placed = place(cpu, ranks);
  check_bounds(cpu, ranks, placed);
  for (const auto& one : placed) {
    EXPECT_EQ(cpu.nics[*one.nic].name, "mlx5_0 (ib0)");
    EXPECT_TRUE(within(one.communication, cpu.packages[1])) << to_string(one.communication);
    EXPECT_EQ(one.numa, 1U);
  }
  // A rank that is kept from there takes it all the same, and says so.
  const auto far = place(cpu, std::vector<LocalRank>{{cpu.packages[0], std::nullopt}});
  EXPECT_EQ(cpu.nics[*far[0].nic].name, "mlx5_0 (ib0)");
  EXPECT_TRUE(says(far[0], "its NIC is near other cpus")) << text(far[0]);
  EXPECT_TRUE(within(far[0].fetch, cpu.packages[0]));
  EXPECT_EQ(far[0].numa, 0U);
}

TEST(Place, ArenasOfUnboundRanksAreSpreadByTheirThreads) {
  auto cpu = machine("cpu");
  cpu.nics.clear();
  const auto placed = place(cpu, unbound(cpu, 2));
  EXPECT_EQ(placed[0].numa, 0U);
  EXPECT_EQ(placed[1].numa, 1U);
  // Without threads that are bound, and free to move, nothing is known of the memory's place.
  for (const auto& one : place(cpu, unbound(cpu, 4))) EXPECT_FALSE(one.numa) << *one.numa;
}

TEST(Place, VisibleGpusAreHonoured) {
  const auto dgx = machine("dgx");
  // One each, in an order of the launcher's own.
  std::vector<LocalRank> ranks;
  for (std::size_t i = 0; i < 8; ++i) {
    ranks.push_back({dgx.cpus, std::vector<std::size_t>{7 - i}});
  }
  const auto placed = place(dgx, ranks);
  check_bounds(dgx, ranks, placed);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(placed[i].gpu, 7 - i);
    EXPECT_TRUE(says(placed[i], "sees 1 of 8 GPUs"));
  }
  // One rank sees all and two see a single one each: these first.
  const std::vector<LocalRank> mixed{
      {dgx.cpus, std::nullopt}, {dgx.cpus, {{0}}}, {dgx.cpus, {{1}}}, {dgx.cpus, {{}}}};
  const auto some = place(dgx, mixed);
  EXPECT_EQ(some[1].gpu, 0U);
  EXPECT_EQ(some[2].gpu, 1U);
  EXPECT_EQ(some[0].gpu, 2U);
  EXPECT_FALSE(some[3].gpu);
  EXPECT_TRUE(says(some[3], "sees no GPU"));
}

TEST(Place, MoreRanksThanGpusShareThemEvenly) {
  const auto dgx = machine("dgx");
  const auto ranks = unbound(dgx, 20);
  const auto placed = place(dgx, ranks);
  check_bounds(dgx, ranks, placed);
  std::vector<int> users(8);
  for (const auto& one : placed) ++users[*one.gpu];
  EXPECT_EQ(*std::max_element(users.begin(), users.end()), 3);
  EXPECT_EQ(*std::min_element(users.begin(), users.end()), 2);
  EXPECT_TRUE(says(placed[0], "3 ranks share its GPU")) << text(placed[0]);
}

TEST(Place, ManyRanksAndNone) {
  const auto dgx = machine("dgx");
  EXPECT_TRUE(place(dgx, {}).empty());
  const auto ranks = unbound(dgx, 1024);
  check_bounds(dgx, ranks, place(dgx, ranks));
}

TEST(VisibleGpus, AsCudaReadsThem) {
  const auto dgx = machine("dgx");
  using Gpus = std::optional<std::vector<std::size_t>>;
  EXPECT_EQ(visible_gpus(dgx, "2,0"), (Gpus{{2, 0}}));
  EXPECT_EQ(visible_gpus(dgx, ""), (Gpus{std::vector<std::size_t>{}}));
  EXPECT_EQ(visible_gpus(dgx, "1,-1,3"), (Gpus{{1}}));
  EXPECT_EQ(visible_gpus(dgx, "NoDevFiles"), (Gpus{std::vector<std::size_t>{}}));
  EXPECT_EQ(visible_gpus(dgx, "8"), (Gpus{std::vector<std::size_t>{}}));
  EXPECT_EQ(visible_gpus(dgx, "99999999999999999999999"), (Gpus{std::vector<std::size_t>{}}));
  EXPECT_EQ(visible_gpus(dgx, "GPU-00005,3"), (Gpus{{5, 3}}));
  EXPECT_EQ(visible_gpus(dgx, "GPU-f00"), std::nullopt);
  EXPECT_EQ(visible_gpus(dgx, "MIG-1"), std::nullopt);
}

TEST(VisibleGpus, ByBusIdAsCudaWritesIt) {
  const auto dgx = machine("dgx");
  const std::vector<std::string> ids{"0000" + dgx.gpus[3].bus_id, dgx.gpus[0].bus_id,
                                     "0000:FF:00.0"};
  EXPECT_EQ(gpus_at(dgx, ids), (std::vector<std::size_t>{3, 0}));
}

}  // namespace
}  // namespace faro::topology
