// Which GPU a rank's tensors lie on: on machines that this one is not, with GPUs that are made up.
#include "loader/device.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "../support/errors.hpp"
#include "comm/threads.hpp"

namespace faro::loader {
namespace {

cuda::Backend backend(std::vector<std::string> bus_ids) {
  cuda::Backend made_up{.compiled = true,
                        .usable = !bus_ids.empty(),
                        .devices = static_cast<int>(bus_ids.size()),
                        .bus_ids = bus_ids,
                        .names = std::vector<std::string>(bus_ids.size(), "Some GPU"),
                        .why = bus_ids.empty() ? "no CUDA driver" : "devices"};
  return made_up;
}

topology::Machine machine(const std::string& name) {
  return topology::Topology::load(std::string(MACHINES) + "/" + name + ".xml").machine();
}

/// Of the ranks that see these devices, what inspect_node() and choose_device() make of them.
std::vector<DeviceChoice> choices(topology::Machine machine,
                                  const std::vector<topology::CpuSet>& cpus,
                                  const std::vector<cuda::Backend>& seen) {
  for (const auto& one : seen) topology::add_gpus(machine, one.bus_ids);
  std::vector<topology::LocalRank> ranks;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    ranks.push_back({cpus[i % cpus.size()], topology::gpus_at(machine, seen[i].bus_ids)});
  }
  const auto placed = topology::place(machine, ranks);
  std::vector<DeviceChoice> all;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    all.push_back(device_of(machine, placed[i], seen[i]));
  }
  return all;
}

std::vector<std::string> bus_ids(const topology::Machine& machine) {
  std::vector<std::string> ids;
  for (const auto& gpu : machine.gpus) ids.push_back("0000" + gpu.bus_id);  // as NVML writes them
  return ids;
}

TEST(DeviceOf, ARankHasTheNearestGpuOfItsOwn) {
  const auto dgx = machine("dgx");
  const std::vector<cuda::Backend> seen(8, backend(bus_ids(dgx)));
  // In turn on both packages, as `mpirun --map-by socket --bind-to socket` does it.
  const auto all = choices(dgx, dgx.packages, seen);
  std::set<int> numbers;
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].number / 4, static_cast<int>(i % 2)) << all[i].text;
    EXPECT_SAYS(all[i].text, fmt::format("cuda {}: Some GPU (0000", all[i].number));
    EXPECT_SAYS(all[i].text, "near cpus " + topology::to_string(dgx.packages[i % 2]));
    numbers.insert(all[i].number);
  }
  EXPECT_EQ(numbers.size(), 8U);
}

TEST(DeviceOf, TheOrdinalIsOfThoseThatTheLauncherHasLeft) {
  const auto dgx = machine("dgx");
  auto ids = bus_ids(dgx);
  std::vector<cuda::Backend> one_each;
  for (std::size_t i = 0; i < 8; ++i) one_each.push_back(backend({ids[7 - i]}));
  const auto all = choices(dgx, {dgx.cpus}, one_each);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(all[i].number, 0) << all[i].text;
    EXPECT_SAYS(all[i].text, dgx.gpus[7 - i].bus_id);
  }
  // CUDA_VISIBLE_DEVICES=6,2 for both ranks: CUDA's order is the variable's.
  const std::vector<cuda::Backend> two(2, backend({ids[6], ids[2]}));
  const auto both = choices(dgx, dgx.packages, two);
  EXPECT_EQ(both[0].number, 1);
  EXPECT_EQ(both[1].number, 0);
  EXPECT_SAYS(both[0].text, dgx.gpus[2].bus_id);
}

TEST(DeviceOf, FarAndSharedGpusAreTold) {
  const auto dgx = machine("dgx");
  const auto ids = bus_ids(dgx);
  const std::vector<cuda::Backend> far(1, backend({ids[0]}));
  EXPECT_SAYS(choices(dgx, {dgx.packages[1]}, far)[0].text, "none of which this rank may use");
  const std::vector<cuda::Backend> many(20, backend(ids));
  std::vector<int> users(8);
  for (const auto& one : choices(dgx, {dgx.cpus}, many)) {
    const auto sharers = ++users[static_cast<std::size_t>(one.number)];
    EXPECT_LE(sharers, 3);
    EXPECT_SAYS(one.text, "shared by ");
  }
  EXPECT_EQ(*std::min_element(users.begin(), users.end()), 2);
}

TEST(DeviceOf, GpusThatHwlocDoesNotSeeAreDealtInTurn) {
  const auto laptop = machine("laptop");
  ASSERT_TRUE(laptop.gpus.empty());
  const std::vector<cuda::Backend> seen(5, backend({"0000:C1:00.0", "0000:41:00.0"}));
  const auto all = choices(laptop, {laptop.cpus}, seen);
  std::vector<int> users(2);
  for (const auto& one : all) {
    ++users[static_cast<std::size_t>(one.number)];
    EXPECT_EQ(one.text.find("near"), std::string::npos) << one.text;
  }
  EXPECT_EQ(users[0] + users[1], 5);
  EXPECT_LE(std::abs(users[0] - users[1]), 1);
  EXPECT_NE(all[0].number, all[1].number);
}

TEST(DeviceOf, WithoutAGpuItIsTheHostAndSaysWhy) {
  const auto dgx = machine("dgx");
  const auto none = choices(dgx, {dgx.cpus}, {backend({})});
  EXPECT_EQ(none[0].number, -1);
  EXPECT_EQ(none[0].text, "host (no CUDA driver)");
  EXPECT_SAYS(path_to(none[0]), "on the host");
}

/// Every rank's choice or error, on this machine, over nodes and devices that are made up.
struct Outcome {
  DeviceChoice choice;
  std::optional<Error> error;
};

std::vector<Outcome> choose(const std::vector<int>& nodes, const std::vector<cuda::Backend>& seen,
                            const std::vector<std::string>& asked, std::size_t broken = SIZE_MAX) {
  auto comms = comm::make_threads({nodes, true, nullptr});
  std::vector<Outcome> outcomes(nodes.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    threads.emplace_back([&, i] {
      auto& world = *comms[i];
      const auto node = world.split_by_node(0);
      try {
        outcomes[i].choice = choose_device(
            asked[i % asked.size()], world, *node,
            [&](int) { check(i != broken, ErrorCode::device, "cudaSetDevice: it is on fire"); },
            seen[i]);
      } catch (const Error& error) {
        outcomes[i].error = error;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return outcomes;
}

TEST(ChooseDevice, RanksOfANodeShareItsDevicesInTurn) {
  const std::vector<cuda::Backend> seen(5, backend({"0000:F1:00.0", "0000:F2:00.0"}));
  for (const char* asked : {"auto", "cuda"}) {
    const auto all = choose({0, 0, 0, 1, 1}, seen, {asked});
    const std::vector<int> expected{0, 1, 0, 0, 1};
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_FALSE(all[i].error) << all[i].error->what();
      EXPECT_EQ(all[i].choice.number, expected[i]) << all[i].choice.text;
    }
    EXPECT_SAYS(all[0].choice.text, "shared by 2 ranks");
    EXPECT_SAYS(path_to(all[0].choice), "page-locked");
  }
  for (const auto& one : choose({0, 0, 0, 1, 1}, seen, {"host"})) {
    EXPECT_EQ(one.choice.number, -1);
    EXPECT_EQ(one.choice.text, "host (device = host)");
  }
}

TEST(ChooseDevice, OneRankWithoutAGpuKeepsAllOnTheHost) {
  std::vector<cuda::Backend> seen(4, backend({"0000:F1:00.0"}));
  seen[2] = backend({});
  const auto all = choose({0, 0, 1, 1}, seen, {"auto"});
  for (const auto& one : all) {
    ASSERT_FALSE(one.error) << one.error->what();
    EXPECT_EQ(one.choice.number, -1);
    EXPECT_SAYS(one.choice.text, "no CUDA driver");
  }
  EXPECT_SAYS(all[0].choice.text, "as rank 2 has no GPU");
  for (const auto& one : choose({0, 0, 1, 1}, seen, {"cuda"})) {
    ASSERT_TRUE(one.error);
    EXPECT_EQ(one.error->code(), ErrorCode::device);
    EXPECT_EQ(one.error->rank(), 2);
    EXPECT_SAYS(one.error->what(), "device = cuda: rank 2 has no GPU");
    EXPECT_SAYS(one.error->what(), "give auto or host");
  }
}

TEST(ChooseDevice, AGpuThatCannotBeOpenedIsNone) {
  const std::vector<cuda::Backend> seen(2, backend({"0000:F1:00.0", "0000:F2:00.0"}));
  for (const auto& one : choose({0, 0}, seen, {"auto"}, 1)) {
    ASSERT_FALSE(one.error) << one.error->what();
    EXPECT_EQ(one.choice.number, -1);
    EXPECT_SAYS(one.choice.text, "it is on fire");
  }
  for (const auto& one : choose({0, 0}, seen, {"cuda"}, 1)) {
    ASSERT_TRUE(one.error);
    EXPECT_EQ(one.error->rank(), 1);
    EXPECT_SAYS(one.error->what(), "it is on fire");
  }
}

TEST(ChooseDevice, RanksMustAskForTheSame) {
  const std::vector<cuda::Backend> seen(2, backend({}));
  for (const auto& one : choose({0, 0}, seen, {"host", "auto"})) {
    ASSERT_TRUE(one.error);
    EXPECT_EQ(one.error->code(), ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace faro::loader
