// What the client makes of a store that is slow, throttles, or is gone: hedges, outages, deadlines.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "../support/errors.hpp"
#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t part = 4096;

/// Reads parts of an object of the fault server by one client.
class Reader {
 public:
  explicit Reader(const Options& options) : client(options) {}

  void read(FaultServer& server, const std::string& path, std::size_t count) {
    const auto first = parts_;
    parts_ += count;
    memory_.resize(256 * part);
    for (auto i = first; i < parts_; ++i) {
      const auto at = i % 256 * part;
      client.read({i, server.uri(path), {at, part}, memory_.data() + at, {}});
    }
  }

  /// Until something is done.
  void step() {
    take([&](auto& done) { client.poll(done, 1000ms); });
  }

  /// Until nothing is pending; how many reads have ended well so far.
  std::size_t finish_all() {
    take([&](auto& done) { done = finish(client); });
    return good_;
  }

  [[nodiscard]] std::size_t parts() const { return parts_; }
  [[nodiscard]] bool right() const { return memory_ == FaultServer::object(); }

  Client client;
  std::string last_error;

 private:
  void take(const auto& work) {
    std::vector<Completion> all;
    work(all);
    for (const auto& done : all) {
      if (done.error) {
        last_error = done.error->what();
      } else {
        ++good_;
      }
    }
  }

  std::size_t parts_ = 0;
  std::size_t good_ = 0;
  std::vector<std::byte> memory_;
};

double seconds_of(const auto& work) {
  const auto before = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - before).count();
}

TEST(Hedging, AStalledRequestIsRaced) {
  auto options = quick_options();
  options.hedge = true;
  options.stall_timeout = 15;
  auto& server = fault_server();
  for (const std::string path : {"/stall,ok/hedged", "/stall_body=100,ok/hedged"}) {
    Reader reader(options);
    reader.read(server, "/ok/hedged", 255);
    EXPECT_EQ(reader.finish_all(), 255u);
    reader.read(server, path, 1);
    // Others go on meanwhile; of all that are slow it is the slowest.
    const double took = seconds_of([&] {
      while (server.count(path) < 2 && reader.client.counters().retries == 0) {
        reader.read(server, "/ok/hedged", 64);
        while (reader.client.pending() > 1) reader.step();
      }
      EXPECT_EQ(reader.finish_all(), reader.parts()) << reader.last_error;
    });
    EXPECT_LT(took, 10.0) << path;
    const auto log = server.log(path);
    // On a busy machine the second is slow itself, and raced again.
    ASSERT_GE(log.size(), 2u) << path;
    EXPECT_LE(log.size(), 3u) << path;
    EXPECT_NE(log[0].at("connection"), log[1].at("connection"));
    EXPECT_EQ(log[0].at("range"), log[1].at("range"));
    const auto& counters = reader.client.counters();
    EXPECT_GE(counters.hedges_won, 1u);
    EXPECT_LE(counters.hedges * 50, counters.requests);
    EXPECT_EQ(counters.retries, 0u);
    EXPECT_TRUE(reader.right());
  }
}

TEST(Hedging, IsNoMoreThanTwoInAHundred) {
  auto options = quick_options();
  options.hedge = true;
  options.max_requests = 8;
  Reader reader(options);
  reader.read(fault_server(), "/ok/many", 256);
  EXPECT_EQ(reader.finish_all(), 256u);
  // All are slower than any before: each would be worth a race.
  reader.read(fault_server(), "/slow_head=0.1/many", 256);
  EXPECT_EQ(reader.finish_all(), 512u);
  const auto& counters = reader.client.counters();
  EXPECT_GT(counters.hedges, 0u);
  EXPECT_LE(counters.hedges * 50, counters.requests);
  EXPECT_TRUE(reader.right());
}

TEST(Hedging, CanBeTurnedOff) {
  auto options = quick_options();
  options.hedge = false;
  options.stall_timeout = 0.3;
  Reader reader(options);
  reader.read(fault_server(), "/ok/off", 256);
  reader.read(fault_server(), "/stall,ok/off", 1);
  EXPECT_EQ(reader.finish_all(), 257u);
  EXPECT_EQ(reader.client.counters().hedges, 0u);
  EXPECT_EQ(reader.client.counters().retries, 1u);
}

TEST(Outages, OneThatEndsIsWaitedFor) {
  FaultServer server;
  auto options = quick_options();
  options.backoff = 0.1;
  options.outage_deadline = 15;
  options.max_requests = 16;
  Reader reader(options);
  reader.read(server, "/slow_head=0.02/outage", 256);
  std::thread outage([&] {
    std::this_thread::sleep_for(100ms);
    server.outage(2);
  });
  EXPECT_EQ(reader.finish_all(), 256u) << reader.last_error;
  outage.join();
  EXPECT_TRUE(reader.right());
  const auto& counters = reader.client.counters();
  EXPECT_GT(counters.retries, 0u);
  EXPECT_LT(counters.requests, 256u + 80u);
}

TEST(Outages, OneForGoodEndsInTimeAndWithFewRequests) {
  FaultServer server;
  auto options = quick_options();
  options.backoff = 0.1;
  options.outage_deadline = 1.5;
  options.max_requests = 16;
  Reader reader(options);
  reader.read(server, "/ok/gone", 32);
  EXPECT_EQ(reader.finish_all(), 32u);
  server.outage(60);
  reader.read(server, "/ok/gone", 200);
  const double took = seconds_of([&] { EXPECT_EQ(reader.finish_all(), 32u); });
  EXPECT_GT(took, 1.4);
  EXPECT_LT(took, 6.0);
  EXPECT_SAYS(reader.last_error, "the store has answered nothing for");
  // What was in flight, and what the budget has: many of them were never sent.
  EXPECT_LT(reader.client.counters().requests, 32u + 16u + 60u);
  // What is asked for later may try, and has the same time.
  reader.read(server, "/ok/gone", 1);
  EXPECT_GT(seconds_of([&] { EXPECT_EQ(reader.finish_all(), 32u); }), 1.4);
}

// A store that answers some requests is not gone: one that never succeeds has its own limit.
TEST(Outages, OneBadObjectIsNone) {
  auto options = quick_options();
  options.attempts = 4;
  options.outage_deadline = 60;
  Client client(options);
  std::vector<std::byte> memory(part);
  client.read({1, fault_server().uri("/s500/bad"), {0, part}, memory.data(), {}});
  std::vector<Completion> done;
  const auto deadline = Clock::now() + 15s;
  std::uint64_t others = 2;
  while (client.pending() > 0 && Clock::now() < deadline) {
    if (client.pending() == 1 && done.empty()) {
      client.read({others++, fault_server().uri("/ok/bad"), {0, part}, memory.data(), {}});
    }
    std::vector<Completion> now;
    client.poll(now, 100ms);
    for (auto& completion : now) {
      if (completion.id == 1) done.push_back(std::move(completion));
    }
  }
  ASSERT_EQ(done.size(), 1u);
  ASSERT_TRUE(done[0].error);
  EXPECT_LE(done[0].attempts, 12u);
  EXPECT_SAYS(done[0].error->what(), "HTTP 500");
}

TEST(Deadlines, ARequestHasOne) {
  auto options = quick_options();
  options.request_deadline = 1;
  Client client(options);
  std::vector<std::byte> memory(1 << 20);
  // Every try brings something, so that none counts against the attempts.
  client.read({1, fault_server().uri("/cut=70000/deadline"), {0, 1 << 20}, memory.data(), {}});
  const auto done = finish(client).at(0);
  EXPECT_FALSE(done.error) << done.error->what();  // 15 tries bring it all
  client.read({2, fault_server().uri("/s503/deadline"), {0, part}, memory.data(), {}});
  const auto late = finish(client).at(0);
  ASSERT_TRUE(late.error);
  EXPECT_SAYS(late.error->what(), "its deadline");
}

TEST(Deadlines, ATrickleIsGivenUp) {
  auto options = quick_options();
  options.stall_timeout = 0.5;
  options.low_speed = 50'000;
  options.attempts = 2;
  options.outage_deadline = 2;
  std::vector<std::byte> memory(200'000);
  const auto slow = read_one(
      options, {1, fault_server().uri("/slow=20000/trickle"), {0, 200'000}, memory.data(), {}});
  ASSERT_TRUE(slow.error);
  EXPECT_EQ(slow.error->code(), ErrorCode::timeout);
  EXPECT_SAYS(slow.error->what(), "less than low_speed");
  const auto mended = read_one(
      options, {1, fault_server().uri("/slow=20000,ok/trickle"), {0, 200'000}, memory.data(), {}});
  ASSERT_FALSE(mended.error) << mended.error->what();
  const auto log = fault_server().log("/slow=20000,ok/trickle");
  ASSERT_EQ(log.size(), 2u);
  EXPECT_NE(log[1].at("range"), log[0].at("range"));  // resumed
}

TEST(Throttling, RetryAfterIsHeeded) {
  std::vector<std::byte> memory(part);
  const double took = seconds_of([&] {
    const auto done = read_one(
        quick_options(),
        {1, fault_server().uri("/retry_after=1,ok/throttled"), {0, part}, memory.data(), {}});
    EXPECT_FALSE(done.error) << done.error->what();
    EXPECT_EQ(done.attempts, 2u);
  });
  EXPECT_GE(took, 0.95);
}

// One rank's throttling is told to the others, and theirs is heeded.
TEST(Throttling, IsToldToOtherRanks) {
  auto options = quick_options();
  options.pressure = std::make_shared<Pressure>();
  Reader reader(options);
  reader.read(fault_server(), "/code=SlowDown,ok/told", 64);
  EXPECT_EQ(reader.finish_all(), 64u);
  EXPECT_GT(options.pressure->mark(), 0u);
  EXPECT_EQ(reader.client.counters().retries_by[static_cast<std::size_t>(RetryCause::throttled)],
            64u);
}

TEST(Throttling, OfOtherRanksIsHeeded) {
  auto options = quick_options();
  options.max_requests = 8;
  options.pressure = std::make_shared<Pressure>();
  std::atomic<bool> stop = false;
  std::thread other_rank([&] {
    for (std::uint64_t mark = 1; !stop; ++mark) {
      options.pressure->raise_to(mark);
      std::this_thread::sleep_for(20ms);
    }
  });
  // Eight at once need 0.4 s, and one at a time 3.2 s.
  const double took = seconds_of([&] {
    Reader reader(options);
    reader.read(fault_server(), "/slow_head=0.05/heeded", 64);
    EXPECT_EQ(reader.finish_all(), 64u);
    EXPECT_EQ(reader.client.counters().retries, 0u);
  });
  stop = true;
  other_rank.join();
  EXPECT_GT(took, 1.2);
}

// nginx answers one in ten 503: what is sent stays near what is needed.
TEST(Throttling, TenPercentOf503CostLittle) {
  if (!Nginx::shapes()) GTEST_SKIP() << "no Lua in nginx: package libnginx-mod-http-lua";
  const auto object = pattern(1 << 20);
  write_file(nginx().data() / "shaped", object);
  auto options = quick_options();
  options.backoff = 0.01;
  Client client(options);
  std::vector<std::byte> memory(object.size());
  constexpr std::uint64_t count = 1024;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto at = i % 256 * part;
    client.read(
        {i, nginx().shaped({.errors = 10}) + "/shaped", {at, part}, memory.data() + at, {}});
  }
  for (const auto& done : finish(client)) EXPECT_FALSE(done.error) << done.error->what();
  EXPECT_EQ(memory, object);
  // 1/0.9 = 1.11 are needed; three standard deviations are 0.033.
  EXPECT_GT(client.counters().requests, count * 105 / 100);
  EXPECT_LE(client.counters().requests, count * 115 / 100);
}

}  // namespace
}  // namespace faro::store::testing
