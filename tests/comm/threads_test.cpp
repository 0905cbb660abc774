// The communicator seam over threads, which are real ones here; tests/sim has simulated ones.
#include "comm/threads.hpp"

#include <atomic>
#include <thread>

#include "conformance.hpp"

namespace faro::comm {
namespace {

/// Runs `work` on every rank at once.
void on_all(const std::vector<int>& node, const std::function<void(Communicator&)>& work) {
  auto comms = make_threads({node, true, nullptr});
  std::vector<std::thread> threads;
  for (auto& comm : comms) threads.emplace_back([&work, &comm] { work(*comm); });
  for (auto& thread : threads) thread.join();
}

class Threads : public testing::TestWithParam<conformance::Check> {};

TEST_P(Threads, Conforms) {
  for (const std::size_t ranks : {1, 2, 5}) {
    SCOPED_TRACE(ranks);
    on_all(std::vector<int>(ranks, 0), GetParam().run);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Threads, testing::ValuesIn(conformance::checks),
                         [](const auto& info) { return info.param.name; });

TEST(ThreadsNodes, AreTheOnesThatWereGiven) {
  on_all({0, 1, 0, 2, 1}, [](Communicator& comm) {
    const auto node = comm.split_by_node(0);
    const std::vector<int> sizes{2, 2, 2, 1, 2};
    const std::vector<int> ranks{0, 0, 1, 0, 1};
    const auto rank = static_cast<std::size_t>(comm.rank());
    EXPECT_EQ(node->size(), sizes[rank]);
    EXPECT_EQ(node->rank(), ranks[rank]);
  });
}

TEST(ThreadsCollectives, InDifferentOrdersAreADefect) {
  std::atomic<bool> begun = false;
  on_all({0, 0}, [&](Communicator& comm) {
    std::uint64_t value = 1;
    if (comm.rank() == 1) {
      while (!begun) std::this_thread::yield();
      try {
        comm.barrier();
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::internal);
      }
    }
    const auto started = comm.start_all_reduce(std::span(&value, 1), Op::sum);
    begun = true;
    while (!started->done()) {
    }
    EXPECT_EQ(value, 2U);
  });
}

}  // namespace
}  // namespace faro::comm
