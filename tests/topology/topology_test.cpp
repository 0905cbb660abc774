// What hwloc says becomes a Machine; binding is real on this one, and refused on others.
#include "topology/topology.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "../support/errors.hpp"
#include "base/error.hpp"

namespace faro::topology {
namespace {

using test::error_of;

std::string file(const std::string& name) {
  return std::string(MACHINES) + "/" + name + ".xml";
}

/// A variable of the environment, for the length of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

CpuSet bound_to() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  CpuSet cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.insert(cpu);
  }
  return cpus;
}

TEST(CpuSets, AreWrittenAsTasksetWritesThem) {
  EXPECT_EQ(to_string(CpuSet{}), "none");
  EXPECT_EQ(to_string(CpuSet{0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
  EXPECT_EQ(common({1, 2, 3}, {2, 3, 4}), (CpuSet{2, 3}));
}

TEST(Topology, ReadsADgx) {
  const auto topology = Topology::load(file("dgx"));
  const auto& dgx = topology.machine();
  EXPECT_FALSE(topology.here());
  EXPECT_EQ(dgx.name, "dgx");
  EXPECT_EQ(dgx.cpus.size(), 64U);
  EXPECT_EQ(dgx.packages.size(), 2U);
  EXPECT_EQ(dgx.cores.size(), 32U);
  EXPECT_EQ(dgx.cores[0], (CpuSet{0, 32}));
  ASSERT_EQ(dgx.numa.size(), 2U);
  EXPECT_EQ(dgx.numa[1].bytes, std::uint64_t{1} << 40);
  EXPECT_EQ(to_string(dgx.numa[1].cpus), "16-31,48-63");
  ASSERT_EQ(dgx.gpus.size(), 8U);  // not the board's VGA
  EXPECT_EQ(dgx.gpus[4].name, "cuda4");
  EXPECT_EQ(dgx.gpus[4].uuid, "GPU-00004-uuid");
  EXPECT_EQ(dgx.gpus[4].cpus, dgx.numa[1].cpus);
  ASSERT_EQ(dgx.nics.size(), 9U);
  EXPECT_EQ(dgx.nics[0].name, "mlx5_0 (ib0)");
  EXPECT_TRUE(dgx.nics[0].fabric);
  EXPECT_EQ(dgx.nics[0].bridges, dgx.gpus[0].bridges);
  EXPECT_NE(dgx.nics[1].bridges, dgx.gpus[0].bridges);
  EXPECT_EQ(dgx.disks.size(), 8U);
  EXPECT_EQ(dgx.disks[7].name, "nvme7n1");
}

TEST(Topology, FindsGpusThatHwlocHasNoNameFor) {
  const auto dgx = Topology::load(file("dgx-unnamed")).machine();
  ASSERT_EQ(dgx.gpus.size(), 8U);
  EXPECT_EQ(dgx.gpus[0].name, dgx.gpus[0].bus_id);
}

TEST(Topology, PortsThatAreDownAreTold) {
  const auto cpu = Topology::load(file("cpu")).machine();
  ASSERT_EQ(cpu.nics.size(), 3U);
  for (const auto& nic : cpu.nics) {
    EXPECT_EQ(nic.up, nic.name != "mlx5_1 (ib1)") << nic.name;
    EXPECT_EQ(nic.fabric, nic.name != "eno1") << nic.name;
  }
}

TEST(Topology, GoesThroughXmlUnchanged) {
  const auto first = Topology::load(file("dgx"));
  const auto second = Topology::parse(first.xml(), false);
  EXPECT_EQ(second.machine().cores, first.machine().cores);
  ASSERT_EQ(second.machine().nics.size(), first.machine().nics.size());
  EXPECT_EQ(second.machine().nics[3].name, first.machine().nics[3].name);
  EXPECT_EQ(second.machine().nics[3].bridges.size(), first.machine().nics[3].bridges.size());
}

TEST(Topology, WhatIsNoMachineIsRefused) {
  const auto expect = [](const std::string& text) {
    const std::string name = testing::TempDir() + "faro-no-machine.xml";
    std::ofstream(name) << text;
    EXPECT_SAYS(error_of([&] { (void)Topology::load(name); }, ErrorCode::format), name);
    std::remove(name.c_str());
  };
  expect("");
  expect("hello");
  expect("<?xml version=\"1.0\"?><topology version=\"2.0\"></topology>");
  std::ifstream in(file("dgx"));
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  for (std::size_t cut = 0; cut < whole.size(); cut += whole.size() / 16 + 1) {
    expect(whole.substr(0, cut));
  }
  EXPECT_SAYS(error_of([] { (void)Topology::load("/no/such.xml"); }, ErrorCode::not_found),
              "/no/such.xml: cannot be read");
  EXPECT_SAYS(error_of([] { (void)Topology::load("/"); }, ErrorCode::not_found),
              "/: cannot be read");
}

TEST(Topology, TheEnvironmentNamesAnotherMachine) {
  {
    const Variable variable("HWLOC_XMLFILE", file("laptop"));
    const auto topology = Topology::detect();
    EXPECT_EQ(topology.machine().name, "laptop");
    EXPECT_FALSE(topology.here());
    EXPECT_EQ(topology.allowed(), topology.machine().cpus);
    const auto before = bound_to();
    EXPECT_TRUE(topology.bind_thread({0}));
    EXPECT_EQ(bound_to(), before);
    std::byte page{};
    EXPECT_TRUE(topology.prefer({&page, 1}, 0));
  }
  {
    const Variable variable("HWLOC_XMLFILE", "/no/such.xml");
    EXPECT_SAYS(error_of([] { (void)Topology::detect(); }, ErrorCode::not_found), "/no/such.xml");
  }
  const Variable variable("HWLOC_XMLFILE", "");
  EXPECT_TRUE(Topology::detect().here());
}

TEST(Topology, BindsAThreadOfThisMachine) {
  const auto topology = Topology::detect();
  const auto allowed = topology.allowed();
  EXPECT_EQ(allowed, bound_to());
  ASSERT_FALSE(allowed.empty());
  const CpuSet last{*allowed.rbegin()};
  std::thread([&] {
    EXPECT_EQ(topology.bind_thread(last), std::nullopt);
    EXPECT_EQ(bound_to(), last);
    EXPECT_EQ(topology.allowed(), allowed) << "of the process, not of the thread";
  }).join();
  EXPECT_EQ(bound_to(), allowed);
  const auto refused = topology.bind_thread({1'000'000});
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->find("1000000"), std::string::npos) << *refused;
}

TEST(Topology, AnotherProcesssXmlBindsHere) {
  const auto topology = Topology::parse(Topology::detect().xml(), true);
  EXPECT_TRUE(topology.here());
  const auto allowed = topology.allowed();
  std::thread([&] {
    EXPECT_EQ(topology.bind_thread({*allowed.begin()}), std::nullopt);
    EXPECT_EQ(bound_to(), CpuSet{*allowed.begin()});
  }).join();
}

TEST(Topology, MemoryIsPreferredOnItsNode) {
  const auto topology = Topology::detect();
  constexpr std::size_t size = 1 << 20;
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  const auto refused = topology.prefer({static_cast<std::byte*>(at), size}, 0);
  EXPECT_EQ(refused, std::nullopt) << *refused;
  // "7f... prefer:0 ..." or, where the kernel knows several, "prefer (many):0".
  std::ifstream in("/proc/self/numa_maps");
  if (!in) GTEST_SKIP() << "this kernel has no numa_maps to look at";
  bool found = false;
  for (std::string line; std::getline(in, line);) {
    if (std::stoul(line, nullptr, 16) != reinterpret_cast<unsigned long>(at)) continue;
    found = true;
    EXPECT_NE(line.find("prefer"), std::string::npos) << line;
  }
  EXPECT_TRUE(found);
  munmap(at, size);
}

}  // namespace
}  // namespace faro::topology
