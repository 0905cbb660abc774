// What a server can do wrong, and what becomes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

constexpr std::uint64_t offset = 100'000;
constexpr std::uint64_t length = 200'000;
constexpr std::uint64_t size = 1 << 20;

/// A mode of the server and what must come of a read that expects the object as it was indexed.
struct Fault {
  const char* mode;
  ErrorCode code;
  unsigned attempts;
  const char* says;  ///< a part of the message
};

void PrintTo(const Fault& fault, std::ostream* out) {
  *out << fault.mode;
}

class Faults : public ::testing::TestWithParam<Fault> {};

TEST_P(Faults, EndInOneClearError) {
  const auto& fault = GetParam();
  const std::string path = fmt::format("/{}/faults", fault.mode);
  auto options = quick_options();
  options.attempts = 3;
  options.stall_timeout = 0.2;
  std::vector<std::byte> memory(length + 4096, std::byte{0xa5});
  const auto done = read_one(
      options,
      {1, fault_server().uri(path), {offset, length}, memory.data(), ObjectInfo{size, "\"v1\""}});
  ASSERT_TRUE(done.error);
  const std::string message = done.error->what();
  EXPECT_EQ(done.error->code(), fault.code) << message;
  EXPECT_EQ(done.attempts, fault.attempts) << message;
  EXPECT_NE(message.find(fault.says), std::string::npos) << message;
  EXPECT_NE(message.find("bytes 100000 to 299999 of http://127.0.0.1:"), std::string::npos)
      << message;
  EXPECT_NE(message.find(fault.attempts == 1 ? "after 1 attempt:" : "after 3 attempts:"),
            std::string::npos)
      << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_TRUE(std::all_of(memory.begin() + length, memory.end(),
                          [](std::byte byte) { return byte == std::byte{0xa5}; }));
  if (std::string(fault.mode) != "loop") {
    EXPECT_EQ(fault_server().count(path), fault.attempts);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Servers, Faults,
    ::testing::Values(Fault{"s400", ErrorCode::network, 1, "HTTP 400"},
                      Fault{"s401", ErrorCode::access_denied, 1, "HTTP 401"},
                      Fault{"s403", ErrorCode::access_denied, 1, "HTTP 403"},
                      Fault{"s404", ErrorCode::not_found, 1, "HTTP 404"},
                      Fault{"s416", ErrorCode::changed, 1, "ends before"},
                      Fault{"s500", ErrorCode::network, 3, "HTTP 500"},
                      Fault{"s503", ErrorCode::network, 3, "HTTP 503"},
                      Fault{"big_error", ErrorCode::network, 3, "HTTP 500"},
                      Fault{"close_mid", ErrorCode::network, 3, "after 100000 bytes"},
                      Fault{"reset", ErrorCode::network, 3, "Empty reply"},
                      Fault{"garbage", ErrorCode::network, 3, "does not answer in HTTP"},
                      Fault{"longer", ErrorCode::network, 3, "length is 200100 bytes, not 200000"},
                      Fault{"longer_chunked", ErrorCode::network, 3,
                            "longer than the 200000 bytes"},
                      Fault{"shorter", ErrorCode::network, 3, "length is 199990 bytes, not 200000"},
                      Fault{"shorter_chunked", ErrorCode::network, 3, "199990 of 200000 bytes"},
                      Fault{"wrong_range", ErrorCode::network, 3, "sent bytes 7 to 200006"},
                      Fault{"no_range", ErrorCode::network, 3, "does not tell the object's size"},
                      Fault{"bad_range", ErrorCode::network, 3, "does not tell the object's size"},
                      Fault{"star_total", ErrorCode::network, 3, "does not tell the object's size"},
                      Fault{"wrong_total", ErrorCode::changed, 1, "1048577 bytes, not the 1048576"},
                      Fault{"other_etag", ErrorCode::changed, 1, "ETag"},
                      Fault{"no_etag", ErrorCode::changed, 1, "ETag"},
                      Fault{"weak", ErrorCode::changed, 1, "HTTP 412"},
                      Fault{"whole", ErrorCode::network, 1, "ignores Range"},
                      Fault{"gzip", ErrorCode::network, 1, "gzip"},
                      Fault{"stall_head", ErrorCode::timeout, 3, "no byte for 0.2 s"},
                      Fault{"stall_body", ErrorCode::timeout, 3, "no byte for 0.2 s"},
                      Fault{"loop", ErrorCode::network, 1, "more than 5 redirects"},
                      Fault{"to_file", ErrorCode::network, 1, "redirects to another protocol"}),
    [](const auto& info) { return std::string(info.param.mode); });

/// Modes that end well, after how many attempts.
class Recoveries : public ::testing::TestWithParam<std::pair<const char*, unsigned>> {};

TEST_P(Recoveries, GiveTheRightBytes) {
  const auto [mode, attempts] = GetParam();
  const std::string path = fmt::format("/{}/recoveries", mode);
  const bool weak = std::string(mode) == "weak";
  Client client(quick_options());
  std::vector<std::byte> memory(length);
  client.read({1,
               fault_server().uri(path),
               {offset, length},
               memory.data(),
               ObjectInfo{size, weak ? "W/\"v1\"" : "\"v1\""}});
  const auto done = finish(client).at(0);
  ASSERT_FALSE(done.error) << done.error->what();
  EXPECT_EQ(done.attempts, attempts);
  EXPECT_EQ(client.counters().requests, attempts);
  EXPECT_EQ(client.counters().retries, attempts - 1);
  EXPECT_EQ(client.counters().bytes, length);
  EXPECT_EQ(client.counters().wasted_bytes > 0, attempts > 1 && mode != std::string("reset_once"));
  const auto object = FaultServer::object();
  EXPECT_TRUE(std::equal(memory.begin(), memory.end(), object.begin() + offset));
}

INSTANTIATE_TEST_SUITE_P(Servers, Recoveries,
                         ::testing::Values(std::pair{"ok", 1u}, std::pair{"match", 1u},
                                           std::pair{"weak", 1u}, std::pair{"exact_chunked", 1u},
                                           std::pair{"redirect", 1u}, std::pair{"flaky503", 3u},
                                           std::pair{"flaky429", 2u}, std::pair{"flaky408", 2u},
                                           std::pair{"close_once", 2u},
                                           std::pair{"reset_once", 2u}),
                         [](const auto& info) { return std::string(info.param.first); });

TEST(Http, IfMatchIsSentForAStrongETag) {
  std::byte byte{};
  const auto done =
      read_one(quick_options(),
               {1, fault_server().uri("/match/other"), {0, 1}, &byte, ObjectInfo{size, "\"v0\""}});
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
  for (const char* mode : {"head405", "head403", "head_mute"}) {
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
  const auto done =
      read_one(options, {1, fault_server().uri("/trickle/steady"), {0, length}, memory.data(), {}});
  EXPECT_FALSE(done.error) << done.error->what();
}

TEST(Http, ConnectionsAreKept) {
  const auto before = fault_server().connections();
  Client client(quick_options());
  std::vector<std::byte> memory(1000);
  for (std::uint64_t i = 0; i < 30; ++i) {
    const char* path = i % 3 == 0 ? "/s404/kept" : i % 3 == 1 ? "/head405/kept" : "/ok/kept";
    if (i % 3 == 1) {
      client.stat(i, fault_server().uri(path));
    } else {
      client.read({i, fault_server().uri(path), {0, 1000}, memory.data(), {}});
    }
    finish(client);
  }
  EXPECT_EQ(fault_server().connections() - before, 2u);  // the client's, and the question's
}

TEST(Http, ConnectionRefused) {
  auto options = quick_options();
  options.attempts = 2;
  std::byte byte{};
  const auto done =
      read_one(options, {1, fmt::format("http://127.0.0.1:{}/x", free_port()), {0, 1}, &byte, {}});
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::network);
  EXPECT_EQ(done.attempts, 2u);
}

TEST(Http, NoAnswerToConnect) {
  auto options = quick_options();
  options.attempts = 1;
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
