// The client apart from any one store: routing, queue, waiting, retries in time.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/error.hpp"
#include "servers.hpp"
#include "store/retry.hpp"

namespace faro::store::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(Client, ReturnsAtOnceWithNothingToDo) {
  Client client(quick_options());
  std::vector<Completion> done;
  const auto before = Clock::now();
  client.poll(done, 10s);
  EXPECT_LT(Clock::now() - before, 2s);
  EXPECT_TRUE(done.empty());
}

TEST(Client, RefusesAbsurdOptions) {
  const auto code_of_options = [](auto change) {
    Options options;
    change(options);
    try {
      Client client(options);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  constexpr auto refused = ErrorCode::invalid_argument;
  EXPECT_EQ(code_of_options([](Options& o) { o.max_requests = 0; }), refused);
  EXPECT_EQ(code_of_options([](Options& o) { o.attempts = 0; }), refused);
  EXPECT_EQ(code_of_options([](Options& o) { o.stall_timeout = 0; }), refused);
  EXPECT_EQ(code_of_options([](Options& o) { o.connect_timeout = -1; }), refused);
  EXPECT_EQ(code_of_options([](Options& o) { o.backoff = -1; }), refused);
  EXPECT_EQ(code_of_options([](Options& o) { o.ca_file = "/nowhere/ca.pem"; }), refused);
}

TEST(Client, RefusesAbsurdRequests) {
  std::byte byte{};
  const auto code = [&](Request request) {
    const auto done = read_one(quick_options(), std::move(request));
    return done.error ? done.error->code() : ErrorCode::internal;
  };
  EXPECT_EQ(code({1, "gs://bucket/key", {0, 1}, &byte, {}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({1, "file://host/path", {0, 1}, &byte, {}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({1, "", {0, 1}, &byte, {}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({1, "http://", {0, 1}, &byte, {}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({1, "/etc/passwd", {~0ull, 2}, &byte, {}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({1, "/etc/passwd", {0, 1}, nullptr, {}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code({1, "/etc", {0, 1}, &byte, {}}), ErrorCode::invalid_argument);
  const auto done = stat_one(quick_options(), "gs://bucket/key");
  ASSERT_TRUE(done.error);
  EXPECT_NE(std::string(done.error->what()).find("https://"), std::string::npos);
}

TEST(Client, PlainPathsAreFiles) {
  TempDir dir;
  write_text(dir.path() / "a b%20{c}?", "hello");
  EXPECT_EQ(stat_one(quick_options(), dir.file("a b%20{c}?")).info.size, 5u);
  EXPECT_EQ(stat_one(quick_options(), "file://" + dir.file("a b%20{c}?")).info.size, 5u);
}

TEST(Client, ReadsOnlyRegularFiles) {
  TempDir dir;
  ASSERT_EQ(mkfifo(dir.file("fifo").c_str(), 0600), 0);
  const auto done = stat_one(quick_options(), dir.file("fifo"));  // must not wait for a writer
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::invalid_argument);
}

TEST(Client, OneAtATimeIsFirstComeFirstServed) {
  TempDir dir;
  write_file(dir.path() / "f", pattern(1000));
  auto options = quick_options();
  options.max_requests = 1;
  Client client(options);
  std::vector<std::byte> memory(1000);
  for (std::uint64_t i = 0; i < 50; ++i) {
    client.read(
        {i, i % 2 ? dir.file("f") : fault_server().uri("/ok/fifo"), {0, 1000}, memory.data(), {}});
  }
  const auto done = finish(client);
  ASSERT_EQ(done.size(), 50u);
  // Files have threads of their own: the order is each store's.
  std::vector<std::uint64_t> files, served;
  for (const auto& end : done) (end.id % 2 ? files : served).push_back(end.id);
  EXPECT_EQ(files.size(), served.size());
  EXPECT_TRUE(std::is_sorted(files.begin(), files.end()));
  EXPECT_TRUE(std::is_sorted(served.begin(), served.end()));
}

TEST(Client, DrivesFilesAndServersTogether) {
  TempDir dir;
  const auto file = pattern(1 << 20);
  write_file(dir.path() / "f", file);
  Client client(quick_options());
  std::vector<std::byte> from_file(file.size()), from_server(1 << 20);
  for (std::uint64_t i = 0; i < 64; ++i) {
    const ByteRange range{i << 14, 1 << 14};
    client.read({i, dir.file("f"), range, from_file.data() + range.offset, {}});
    client.read({i, fault_server().uri("/ok/both"), range, from_server.data() + range.offset, {}});
  }
  for (const auto& done : finish(client)) EXPECT_FALSE(done.error) << done.error->what();
  EXPECT_EQ(from_file, file);
  EXPECT_EQ(from_server, FaultServer::object());
}

// A file's completion must end a sleep that waits for a server.
TEST(Client, FileIsNotHeldUpByAStalledServer) {
  TempDir dir;
  write_file(dir.path() / "f", pattern(1000));
  Client client(quick_options());
  std::vector<std::byte> memory(2000);
  client.read({1, fault_server().uri("/stall/both"), {0, 1000}, memory.data() + 1000, {}});
  std::vector<Completion> done;
  client.poll(done, 50ms);
  EXPECT_TRUE(done.empty());
  client.read({2, dir.file("f"), {0, 1000}, memory.data(), {}});
  const auto before = Clock::now();
  while (done.empty() && Clock::now() - before < 4s) client.poll(done, 4s);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].id, 2u);
  EXPECT_LT(Clock::now() - before, 2s);
}

// Nor may a retry's wait hold up what else is queued.
TEST(Client, WaitingForARetryHoldsUpNobody) {
  auto options = quick_options();
  options.backoff = 1000;
  options.attempts = 2;
  options.max_requests = 1;
  Client client(options);
  std::vector<std::byte> memory(1000);
  client.read({1, fault_server().uri("/s503/waiting"), {0, 1000}, memory.data(), {}});
  for (std::uint64_t i = 2; i < 10; ++i) {
    client.read({i, fault_server().uri("/ok/waiting"), {0, 1000}, memory.data(), {}});
  }
  std::vector<Completion> done;
  const auto before = Clock::now();
  while (done.size() < 8 && Clock::now() - before < 5s) client.poll(done, 1s);
  EXPECT_EQ(done.size(), 8u);
  EXPECT_EQ(client.pending(), 1u);
}

TEST(Client, TimeoutOfPollIsKept) {
  Client client(quick_options());
  std::vector<std::byte> memory(2000);
  client.read({1, fault_server().uri("/stall/timeout"), {0, 1000}, memory.data(), {}});
  std::vector<Completion> done;
  const auto before = Clock::now();
  client.poll(done, 100ms);
  const auto took = Clock::now() - before;
  EXPECT_GE(took, 95ms);
  EXPECT_LT(took, 2s);
  EXPECT_TRUE(done.empty());
}

TEST(Client, WakeEndsASleep) {
  TempDir dir;
  Client client(quick_options());
  std::vector<std::byte> memory(2000);
  client.read({1, fault_server().uri("/stall/wake"), {0, 1000}, memory.data(), {}});
  std::vector<Completion> done;
  std::thread waker([&] {
    std::this_thread::sleep_for(100ms);
    client.wake();
  });
  const auto before = Clock::now();
  client.poll(done, 4s);
  EXPECT_LT(Clock::now() - before, 3s);
  waker.join();
  client.wake();  // also counts for the next poll
  client.poll(done, 4s);
  EXPECT_LT(Clock::now() - before, 3s);
  EXPECT_TRUE(done.empty());
}

TEST(Retry, WaitsAreBoundedAndJittered) {
  Backoff backoff(0.1);
  double sum = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::chrono::duration<double> wait = backoff.wait(2);
    EXPECT_GE(wait.count(), 0.0);
    EXPECT_LE(wait.count(), 0.4);
    sum += wait.count();
    EXPECT_LE(backoff.wait(60), 20s);
  }
  EXPECT_NEAR(sum / 2000, 0.2, 0.02);
}

TEST(Retry, OnlyWhatMayPassIsTriedAgain) {
  for (const auto cause : {Cause::connection, Cause::timeout, Cause::server_error, Cause::throttled,
                           Cause::truncated, Cause::bad_answer, Cause::expired}) {
    EXPECT_TRUE(treatment_of(cause).retried);
    EXPECT_GT(treatment_of(cause).cost, 0);
  }
  for (const auto cause : {Cause::unsupported, Cause::untrusted, Cause::not_found,
                           Cause::access_denied, Cause::changed, Cause::invalid, Cause::io}) {
    EXPECT_FALSE(treatment_of(cause).retried);
  }
}

TEST(Retry, AnOutageBeginsAfterTheLastAnswer) {
  const auto start = Clock::now();
  Outage outage;
  outage.answered(start + 2s);
  outage.failed(start + 1s);  // was sent before something answered
  EXPECT_FALSE(outage.since());
  outage.failed(start + 3s);
  outage.failed(start + 4s);
  EXPECT_EQ(outage.since(), start + 3s);
  outage.answered(start + 5s);
  EXPECT_FALSE(outage.since());
}

}  // namespace
}  // namespace faro::store::testing
