// Answers that are right in part, requests that never end, pauses of whoever drives the client.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "../support/errors.hpp"
#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t offset = 100'000;
constexpr std::uint64_t length = 200'000;
const ObjectInfo indexed{1 << 20, "\"v1\""};

struct Read {
  Completion done;
  std::vector<std::byte> memory = std::vector<std::byte>(length, std::byte{0xa5});

  Read(const Options& options, const std::string& path, std::optional<ObjectInfo> expect) {
    done = read_one(
        options, {1, fault_server().uri(path), {offset, length}, memory.data(), std::move(expect)});
  }
  [[nodiscard]] bool right() const {
    const auto object = FaultServer::object();
    return std::equal(memory.begin(), memory.end(), object.begin() + offset) &&
           done.crc32c == crc32c(memory);
  }
};

// The page of an error is no part of the object, however its transfer ends.
TEST(Hostile, AnErrorsPageIsNotKept) {
  auto options = quick_options();
  options.stall_timeout = 0.2;
  for (const std::string spec : {"stalled_error=503,ok", "stalled_error=500,ok"}) {
    const std::string path = "/" + spec + "/page";
    const Read read(options, path, indexed);
    ASSERT_FALSE(read.done.error) << read.done.error->what();
    EXPECT_TRUE(read.right()) << spec;
    EXPECT_EQ(fault_server().log(path)[1].at("range"), "bytes=100000-299999");
  }
  const Read refused(options, "/stalled_error=403/page", indexed);
  ASSERT_TRUE(refused.done.error);
  EXPECT_EQ(refused.done.error->code(), ErrorCode::access_denied) << refused.done.error->what();
}

// What is there is there, though the connection breaks after the last byte, or says no more.
TEST(Hostile, AWholeBodyWithoutAnEndIsWhole) {
  auto options = quick_options();
  options.stall_timeout = 0.2;
  for (const std::string spec : {"open_end", "held_end"}) {
    const Read read(options, "/" + spec + "/whole", indexed);
    ASSERT_FALSE(read.done.error) << spec << ": " << read.done.error->what();
    EXPECT_TRUE(read.right());
    EXPECT_EQ(read.done.attempts, 1u);
  }
}

// An answer that was refused says nothing of the object.
TEST(Hostile, AWrongAnswerPinsNothing) {
  for (const std::string spec :
       {"no_range,ok", "wrong_range,ok", "wrong_total,ok", "bad_range,ok"}) {
    const Read read(quick_options(), "/" + spec + "/pins", std::nullopt);
    if (spec == "wrong_total,ok") continue;  // without an index any size is as good
    ASSERT_FALSE(read.done.error) << spec << ": " << read.done.error->what();
    EXPECT_TRUE(read.right());
  }
}

// Only a strong ETag promises that the rest belongs to what is there (RFC 9110, 8.8.1).
TEST(Hostile, AWeakETagResumesNothing) {
  const std::string path = "/cut_weak=100000,weak/weakly";
  Client client(quick_options());
  std::vector<std::byte> memory(length);
  const ObjectInfo weak{1 << 20, "W/\"v1\""};
  client.read({1, fault_server().uri(path), {offset, length}, memory.data(), weak});
  EXPECT_FALSE(finish(client).at(0).error);
  EXPECT_EQ(fault_server().log(path)[1].at("range"), "bytes=100000-299999");
}

// A request that goes on for ever, byte by byte, ends at its deadline: its first attempt, too.
TEST(Hostile, ATrickleEndsAtTheDeadline) {
  auto options = quick_options();
  options.low_speed = 1;
  options.request_deadline = 0.5;
  for (const bool hedge : {true, false}) {
    options.hedge = hedge;
    for (const std::string spec : {"slow=20000", "stall"}) {
      const auto before = Clock::now();
      const Read read(options, "/" + spec + "/trickle", indexed);
      ASSERT_TRUE(read.done.error);
      EXPECT_EQ(read.done.error->code(), ErrorCode::timeout);
      EXPECT_SAYS(read.done.error->what(), "deadline");
      EXPECT_LT(Clock::now() - before, 3s);
    }
  }
}

// A job that was suspended is not the store's fault.
TEST(Hostile, TimeAwayIsNoOutage) {
  auto options = quick_options();
  options.outage_deadline = 5;
  options.request_deadline = 5;
  options.backoff = 0.5;
  Client client(options);
  std::vector<std::byte> memory(length);
  client.read({1,
               fault_server().uri("/s503,s503,slow_head=0.3/away"),
               {offset, length},
               memory.data(),
               {}});
  std::vector<Completion> done;
  while (client.counters().requests < 2 && done.empty()) client.poll(done, 10ms);
  std::this_thread::sleep_for(5500ms);
  const auto rest = finish(client);
  done.insert(done.end(), rest.begin(), rest.end());
  ASSERT_EQ(done.size(), 1u);
  EXPECT_FALSE(done[0].error) << done[0].error->what();
}

// S3 has checksums of parts, too: the answer to a range may have that part's.
TEST(Hostile, APartsChecksumIsNotTheObjects) {
  const Read read(quick_options(), "/crc_of_part/part", indexed);
  ASSERT_FALSE(read.done.error);
  EXPECT_FALSE(read.done.info.crc32c);
}

// The keys end while a redirect is on its way, which then cannot be signed: that is that request's
// error, and no other's.
TEST(Hostile, ARedirectMeetsExpiredKeys) {
  use_credentials("AKIDFAROFAULTTEST", "hiddenSecret");
  Client client(s3_options(fault_server().endpoint()));
  std::vector<std::byte> memory(2 * length);
  client.read({1, FaultServer::s3("/code=ExpiredToken/x"), {0, length}, memory.data(), {}});
  client.read({2, FaultServer::s3("/slow_s307=0.3/x"), {0, length}, memory.data() + length, {}});
  const auto done = finish(client);
  ASSERT_EQ(done.size(), 2u);
  for (const auto& end : done) {
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code(), ErrorCode::access_denied);
    EXPECT_SAYS(end.error->what(), "expired");
  }
}

TEST(Hostile, ListingsThatLie) {
  use_credentials("AKIDFAROFAULTTEST", "hiddenSecret");
  const auto options = s3_options(fault_server().endpoint());
  const auto list = [&](const std::string& spec) {
    return store::expand(FaultServer::s3("/list:" + spec + "/lies/"), ".bin", options);
  };
  const auto error = [&](const std::string& spec) {
    return test::error_of([&] { static_cast<void>(list(spec)); }, ErrorCode::network);
  };
  EXPECT_SAYS(error("no_keys_ever"), "no end");
  EXPECT_SAYS(error("keys_twice"), "twice");
  EXPECT_SAYS(error("keys_outside"), "elsewhere/b.bin");
  EXPECT_EQ(list("keys_below"), std::vector{FaultServer::s3("/list:keys_below/lies/a.bin")});
}

// The client's own reading of heads, which follows on a first answer that libcurl has read.
TEST(Hostile, HeadsThatLie) {
  auto options = quick_options();
  options.attempts = 2;
  const std::vector<std::pair<std::string, std::string>> lies{
      {"long_head", "the head of the answer is too long"},
      {"interim_ever", "the head of the answer is too long"},
      {"nul_head", "the head of the answer has a NUL"},
      {"two_heads", "does not answer in HTTP/1"},
      {"http2", "does not answer in HTTP/1"},
      {"garbage", "does not answer in HTTP/1"},
      {"two_lengths", "two lengths"}};
  for (const auto& [spec, says] : lies) {
    Client client(options);
    std::vector<std::byte> memory(length);
    client.read({1, fault_server().uri("/ok/known"), {0, length}, memory.data(), {}});
    ASSERT_FALSE(finish(client).at(0).error);
    client.read({2, fault_server().uri("/" + spec + "/head"), {0, length}, memory.data(), {}});
    const auto done = finish(client).at(0);
    ASSERT_TRUE(done.error) << spec;
    EXPECT_EQ(done.error->code(), ErrorCode::network);
    EXPECT_SAYS(done.error->what(), says);
    client.read({3, fault_server().uri("/ok/known"), {0, length}, memory.data(), {}});
    EXPECT_FALSE(finish(client).at(0).error) << spec;
  }
}

// What a server says beyond its answer is no answer to the next question.
TEST(Hostile, MoreThanWasAskedEndsTheConnection) {
  Client client(quick_options());
  std::vector<std::byte> memory(length);
  for (std::uint64_t i = 0; i < 20; ++i) {
    std::fill(memory.begin(), memory.end(), std::byte{0xa5});
    client.read({i, fault_server().uri("/excess/more"), {i, length}, memory.data(), indexed});
    ASSERT_FALSE(finish(client).at(0).error);
    const auto object = FaultServer::object();
    EXPECT_TRUE(std::equal(memory.begin(), memory.end(), object.begin() + i));
  }
}

// With the level at one and a try each nothing may hang, or be tried without end.
TEST(Hostile, TheSmallestOptions) {
  auto options = quick_options();
  options.max_requests = 1;
  options.attempts = 1;
  options.outage_deadline = 3;
  options.backoff = 0;
  Client client(options);
  std::vector<std::byte> memory(length);
  const std::vector<std::string> specs{"ok",       "s404",  "cut=10", "s503,ok",
                                       "rst=0,ok", "whole", "ok"};
  for (std::uint64_t i = 0; i < 200; ++i) {
    client.read({i,
                 fault_server().uri("/" + specs[i % specs.size()] + fmt::format("/least{}", i)),
                 {0, 1000},
                 memory.data(),
                 {}});
  }
  const auto done = finish(client);
  ASSERT_EQ(done.size(), 200u);
  for (const auto& end : done) {
    const auto& spec = specs[end.id % specs.size()];
    const bool well = spec.ends_with("ok");
    EXPECT_EQ(!end.error, well) << spec << (end.error ? end.error->what() : "");
  }
  EXPECT_LT(client.counters().requests, 300u);
}

}  // namespace
}  // namespace faro::store::testing
