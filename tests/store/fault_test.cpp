// What a server can do wrong, and what becomes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <thread>

#include "../support/errors.hpp"
#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

constexpr std::uint64_t offset = 100'000;
constexpr std::uint64_t length = 200'000;
constexpr std::uint64_t size = 1 << 20;

/// A SPEC of fault_server.py and what must come of a read that expects the object as it was
/// indexed.
struct Fault {
  const char* spec;
  ErrorCode code;
  unsigned attempts;  ///< 0: as many as the time allows, as the store answers nobody
  const char* says;   ///< a part of the message
};

void PrintTo(const Fault& fault, std::ostream* out) {
  *out << fault.spec;
}

std::string name_of(std::string spec) {
  std::replace_if(
      spec.begin(), spec.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return spec;
}

class Faults : public ::testing::TestWithParam<Fault> {};

// The first reads are libcurl's; of a server that has answered one as it should, the client's own.
// What is unusual libcurl is asked again, once.
enum class By { libcurl, client };

std::uint64_t asked_again(By by, const std::string& spec) {
  return by == By::client && (spec.find("chunked") != spec.npos || spec == "redirect" ||
                              spec == "nowhere" || spec == "to_file");
}

void get_known(Client& client) {
  std::byte byte{};
  client.read({0, fault_server().uri("/ok/known"), {0, 1}, &byte, {}});
  EXPECT_FALSE(finish(client).at(0).error);
}

void ends_in_one_clear_error(const Fault& fault, By by) {
  const std::string path = fmt::format("/{}/faults{}", fault.spec, static_cast<int>(by));
  auto options = quick_options();
  options.attempts = 3;
  options.stall_timeout = 0.2;
  options.low_speed = 0;
  options.outage_deadline = 0.5;
  std::vector<std::byte> memory(length + 4096, std::byte{0xa5});
  Client client(options);
  if (by == By::client) get_known(client);
  client.read({1,
               fault_server().uri(path),
               {offset, length},
               memory.data(),
               ObjectInfo{size, "\"v1\"", {}}});
  const auto done = finish(client).at(0);
  ASSERT_TRUE(done.error);
  const std::string message = done.error->what();
  EXPECT_EQ(done.error->code(), fault.code) << message;
  EXPECT_SAYS(message, fault.says);
  EXPECT_SAYS(message, "bytes 100000 to 299999 of http://127.0.0.1:");
  EXPECT_EQ(message.find('\n'), std::string::npos);
  if (fault.attempts == 0) {
    EXPECT_GT(done.attempts, 2u) << message;
    EXPECT_SAYS(message, "the store has answered nothing for");
  } else {
    EXPECT_EQ(done.attempts, fault.attempts) << message;
    EXPECT_SAYS(message, fault.attempts == 1 ? "after 1 attempt:" : "after 3 attempts:");
  }
  EXPECT_TRUE(std::all_of(memory.begin() + length, memory.end(),
                          [](std::byte byte) { return byte == std::byte{0xa5}; }));
  if (std::string(fault.spec) != "loop") {
    EXPECT_EQ(fault_server().count(path), done.attempts + asked_again(by, fault.spec));
  }
}

TEST_P(Faults, EndInOneClearError) {
  ends_in_one_clear_error(GetParam(), By::libcurl);
}

TEST_P(Faults, EndInOneClearErrorToo) {
  ends_in_one_clear_error(GetParam(), By::client);
}

INSTANTIATE_TEST_SUITE_P(
    Servers, Faults,
    ::testing::Values(
        // The store as a whole may be down: it has its deadline.
        Fault{"s500", ErrorCode::network, 0, "HTTP 500"},
        Fault{"s500=empty", ErrorCode::network, 0, "HTTP 500"},
        Fault{"s502", ErrorCode::network, 0, "HTTP 502"},
        Fault{"s504=empty", ErrorCode::network, 0, "HTTP 504"},
        Fault{"s408", ErrorCode::network, 0, "HTTP 408"},
        Fault{"s429", ErrorCode::network, 0, "HTTP 429"},
        Fault{"s503", ErrorCode::network, 0, "HTTP 503"},
        Fault{"big_error", ErrorCode::network, 0, "HTTP 500"},
        Fault{"reset", ErrorCode::network, 0, "Empty reply"},
        Fault{"rst=0", ErrorCode::network, 0, "reset"},
        Fault{"stall", ErrorCode::timeout, 0, "no byte for 0.2 s"},
        Fault{"stall_head", ErrorCode::timeout, 0, "no byte for 0.2 s"},
        Fault{"stall_body=0", ErrorCode::timeout, 0, "no byte for 0.2 s"},
        // An answer that is wrong: it is asked again.
        Fault{"cut=0", ErrorCode::network, 3, "after 0 bytes"},
        Fault{"cut=1000", ErrorCode::network, 3, "after 1000 bytes"},
        Fault{"garbage", ErrorCode::network, 3, "does not answer in HTTP"},
        Fault{"longer", ErrorCode::network, 3, "length is 200100 bytes, not 200000"},
        Fault{"longer_chunked", ErrorCode::network, 3, "longer than the 200000 bytes"},
        Fault{"shorter", ErrorCode::network, 3, "length is 199990 bytes, not 200000"},
        Fault{"wrong_range", ErrorCode::network, 3, "sent bytes 7 to 200006"},
        Fault{"no_range", ErrorCode::network, 3, "does not tell the object's size"},
        Fault{"bad_range", ErrorCode::network, 3, "does not tell the object's size"},
        Fault{"star_total", ErrorCode::network, 3, "does not tell the object's size"},
        // An answer that stays as it is.
        Fault{"s400", ErrorCode::network, 1, "HTTP 400"},
        Fault{"s401", ErrorCode::access_denied, 1, "HTTP 401"},
        Fault{"s403", ErrorCode::access_denied, 1, "HTTP 403"},
        Fault{"s404", ErrorCode::not_found, 1, "HTTP 404"},
        Fault{"s416", ErrorCode::changed, 1, "ends before"},
        Fault{"wrong_total", ErrorCode::changed, 1, "1048577 bytes, not the 1048576"},
        Fault{"other_etag", ErrorCode::changed, 1, "ETag"},
        Fault{"no_etag", ErrorCode::changed, 1, "ETag"},
        Fault{"weak", ErrorCode::changed, 1, "HTTP 412"},
        Fault{"changed_after=0", ErrorCode::changed, 1, "HTTP 412"},
        Fault{"whole", ErrorCode::network, 1, "ignores Range"},
        Fault{"gzip", ErrorCode::network, 1, "gzip"},
        Fault{"nowhere", ErrorCode::network, 1, "HTTP 307"},
        Fault{"loop", ErrorCode::network, 1, "more than 5 redirects"},
        Fault{"to_file", ErrorCode::network, 1, "redirects to another protocol"}),
    [](const auto& info) { return name_of(info.param.spec); });

/// SPECs that end well, and the ranges that were asked for on the way.
struct Recovery {
  const char* spec;
  std::vector<std::string> ranges;
  std::optional<RetryCause> cause;
  bool wasted = false;  ///< bytes were received for nothing
};

void PrintTo(const Recovery& recovery, std::ostream* out) {
  *out << recovery.spec;
}

const std::string all = "bytes=100000-299999";

class Recoveries : public ::testing::TestWithParam<Recovery> {};

void give_the_right_bytes(const Recovery& recovery, By by) {
  auto [spec, ranges, cause, wasted] = recovery;
  const std::string path = fmt::format("/{}/recoveries{}", spec, static_cast<int>(by));
  const bool weak = std::string(spec) == "weak";
  auto options = quick_options();
  options.stall_timeout = 0.2;
  options.low_speed = 0;
  Client client(options);
  if (by == By::client) get_known(client);
  const auto before = client.counters();
  std::vector<std::byte> memory(length);
  client.read({1,
               fault_server().uri(path),
               {offset, length},
               memory.data(),
               ObjectInfo{size, weak ? "W/\"v1\"" : "\"v1\"", {}}});
  const auto done = finish(client).at(0);
  ASSERT_FALSE(done.error) << done.error->what();
  std::vector<std::string> asked;
  for (const auto& entry : fault_server().log(path)) asked.push_back(entry.at("range"));
  const auto again = asked_again(by, spec);
  if (again > 0 && std::string(spec) == "shorter_chunked,ok") {
    ranges = {all};  // it meets the next step
    cause.reset();
  }
  if (again > 0) asked.erase(asked.begin());
  EXPECT_EQ(asked, ranges);
  const auto& counters = client.counters();
  EXPECT_EQ(done.attempts, ranges.size());
  EXPECT_EQ(counters.requests - before.requests, ranges.size() + again);
  EXPECT_EQ(counters.retries, ranges.size() - 1);
  if (cause) {
    EXPECT_EQ(counters.retries_by[static_cast<std::size_t>(*cause)], ranges.size() - 1);
  }
  EXPECT_EQ(counters.bytes - before.bytes, length);
  EXPECT_EQ(counters.wasted_bytes > 0, wasted);
  const auto object = FaultServer::object();
  EXPECT_TRUE(std::equal(memory.begin(), memory.end(), object.begin() + offset));
  EXPECT_EQ(done.crc32c, crc32c(memory));
}

TEST_P(Recoveries, GiveTheRightBytes) {
  give_the_right_bytes(GetParam(), By::libcurl);
}

TEST_P(Recoveries, GiveTheRightBytesToo) {
  give_the_right_bytes(GetParam(), By::client);
}

INSTANTIATE_TEST_SUITE_P(
    Servers, Recoveries,
    ::testing::Values(
        Recovery{"ok", {all}, {}}, Recovery{"weak", {all}, {}},
        Recovery{"exact_chunked", {all}, {}}, Recovery{"redirect", {all}, {}},
        Recovery{"slow_head=0.1", {all}, {}}, Recovery{"interim", {all}, {}},
        Recovery{"trickled_head", {all}, {}}, Recovery{"excess", {all}, {}},
        Recovery{"s503,s503,ok", {all, all, all}, RetryCause::throttled, true},
        Recovery{"s503=empty,s500=empty,ok", {all, all, all}, {}},
        Recovery{"code=SlowDown,ok", {all, all}, RetryCause::throttled, true},
        Recovery{"s429,ok", {all, all}, RetryCause::throttled, true},
        Recovery{"s408,ok", {all, all}, RetryCause::server_error, true},
        Recovery{"reset,ok", {all, all}, RetryCause::connection},
        Recovery{"stall,ok", {all, all}, RetryCause::timeout},
        Recovery{"wrong_range,ok", {all, all}, RetryCause::wrong, true},
        // What has come is kept, and only the rest is asked for.
        Recovery{"cut=50000,ok", {all, "bytes=150000-299999"}, RetryCause::truncated},
        Recovery{"rst=50000,ok", {all, "bytes=150000-299999"}, RetryCause::connection},
        Recovery{"stall_body=50000,ok", {all, "bytes=150000-299999"}, RetryCause::timeout},
        Recovery{"shorter_chunked,ok", {all, "bytes=299990-299999"}, RetryCause::truncated},
        Recovery{"cut=50000,s503=empty,rst=1,ok",
                 {all, "bytes=150000-299999", "bytes=150000-299999", "bytes=150001-299999"},
                 {}}),
    [](const auto& info) { return name_of(info.param.spec); });

TEST(Http, IfMatchIsSentForAStrongETag) {
  std::byte byte{};
  const auto done =
      read_one(quick_options(),
               {1, fault_server().uri("/ok/other"), {0, 1}, &byte, ObjectInfo{size, "\"v0\"", {}}});
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::changed);
  EXPECT_NE(std::string(done.error->what()).find("412"), std::string::npos);
}

TEST(Http, WholeObjectMayComeWith200) {
  std::vector<std::byte> memory(size);
  const auto done = read_one(quick_options(),
                             {1, fault_server().uri("/whole/all"), {0, size}, memory.data(), {}});
  ASSERT_FALSE(done.error) << done.error->what();
  EXPECT_EQ(memory, FaultServer::object());
  EXPECT_EQ(done.info.size, size);
}

TEST(Http, SizeIsFoundWithoutHead) {
  for (const char* mode : {"head:s405", "head:s403", "head:mute"}) {
    Client client(quick_options());
    client.stat(1, fault_server().uri(fmt::format("/{}/size", mode)));
    const auto done = finish(client).at(0);
    ASSERT_FALSE(done.error) << mode << done.error->what();
    EXPECT_EQ(done.info.size, size) << mode;
    EXPECT_EQ(done.info.etag, "\"v1\"") << mode;
    EXPECT_EQ(client.counters().requests, 2u) << mode;
  }
  const auto empty = stat_one(quick_options(), fault_server().uri("/empty/size"));
  ASSERT_FALSE(empty.error) << empty.error->what();
  EXPECT_EQ(empty.info.size, 0u);
}

TEST(Http, SlowButSteadyIsNoStall) {
  auto options = quick_options();
  options.stall_timeout = 0.5;
  options.attempts = 1;
  std::vector<std::byte> memory(length);
  const auto done = read_one(
      options, {1, fault_server().uri("/slow=400000/steady"), {0, length}, memory.data(), {}});
  EXPECT_FALSE(done.error) << done.error->what();
}

TEST(Http, ConnectionsAreKept) {
  const auto before = fault_server().connections();
  Client client(quick_options());
  std::vector<std::byte> memory(1000);
  for (std::uint64_t i = 0; i < 30; ++i) {
    const char* path = i % 3 == 0 ? "/s404/kept" : i % 3 == 1 ? "/head:s405/kept" : "/ok/kept";
    if (i % 3 == 1) {
      client.stat(i, fault_server().uri(path));
    } else {
      client.read({i, fault_server().uri(path), {0, 1000}, memory.data(), {}});
    }
    finish(client);
  }
  EXPECT_EQ(fault_server().connections() - before, 2u);  // one is libcurl's
}

TEST(Http, ConnectionRefused) {
  auto options = quick_options();
  options.outage_deadline = 0.3;
  std::byte byte{};
  const auto done =
      read_one(options, {1, fmt::format("http://127.0.0.1:{}/x", free_port()), {0, 1}, &byte, {}});
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::network);
  EXPECT_GT(done.attempts, 1u);
}

TEST(Http, NoAnswerToConnect) {
  auto options = quick_options();
  options.outage_deadline = 0.3;
  options.connect_timeout = 0.2;
  const auto before = std::chrono::steady_clock::now();
  // 192.0.2.0/24 is for documentation (RFC 5737): nothing answers, or there is no way to it.
  const auto done = stat_one(options, "http://192.0.2.1/x");
  ASSERT_TRUE(done.error);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(3));
}

TEST(Http, UntrustedCertificateIsNotRetried) {
  const auto done = stat_one(quick_options(), nginx().https() + "/object");
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::network);
  EXPECT_EQ(done.attempts, 1u);
  EXPECT_NE(std::string(done.error->what()).find("ca_file"), std::string::npos);
}

TEST(Http, RedirectsDoNotLeaveTls) {
  auto options = quick_options();
  options.ca_file = nginx().ca_file();
  write_text(nginx().data() / "object", "hello");
  const auto done = stat_one(options, nginx().https() + "/plain/object");
  ASSERT_TRUE(done.error);
  EXPECT_NE(std::string(done.error->what()).find("redirects to another protocol"),
            std::string::npos)
      << done.error->what();
  const auto plain = stat_one(options, nginx().http() + "/plain/object");
  ASSERT_FALSE(plain.error) << plain.error->what();
  EXPECT_EQ(plain.info.size, 5u);
}

TEST(Http, SecretsStayOutOfMessages) {
  auto uri = fault_server().uri("/s404/secret?X-Amz-Signature=hidden&token=hidden");
  uri.insert(7, "user:hidden@");
  const auto done = stat_one(quick_options(), uri);
  ASSERT_TRUE(done.error);
  const std::string message = done.error->what();
  EXPECT_EQ(message.find("hidden"), std::string::npos) << message;
  EXPECT_NE(message.find("/s404/secret?X-Amz-Signature=***&token=***"), std::string::npos)
      << message;
}

}  // namespace
}  // namespace faro::store::testing
