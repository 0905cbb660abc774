// What an S3 store can refuse, redirect and get wrong, and what becomes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "../support/errors.hpp"
#include "base/error.hpp"
#include "servers.hpp"

namespace faro::store::testing {
namespace {

constexpr std::uint64_t offset = 100'000;
constexpr std::uint64_t length = 200'000;
constexpr std::uint64_t size = 1 << 20;

constexpr const char* key_id = "AKIDFAROFAULTTEST";
constexpr const char* secret = "hiddenSecret/+0123456789";
constexpr const char* token = "hiddenToken/+0123456789==";

// One line, of a length that a terminal bears, without anything that only the store may know.
void expect_presentable(const std::string& message) {
  EXPECT_LT(message.size(), 1200u) << message;
  EXPECT_TRUE(std::none_of(message.begin(), message.end(), [](unsigned char c) {
    return c < 0x20 || c == 0x7f;
  })) << message;
  EXPECT_EQ(message.find("hidden"), std::string::npos) << message;
  EXPECT_EQ(message.find("AWS4-HMAC"), std::string::npos) << message;
}

Options fault_options() {
  use_credentials(key_id, secret, token);
  auto options = s3_options(fault_server().endpoint());
  options.attempts = 3;
  options.stall_timeout = 0.2;
  options.low_speed = 0;
  options.outage_deadline = 0.5;
  return options;
}

Completion read_spec(const Options& options, const std::string& path,
                     std::vector<std::byte>& into) {
  into.assign(length, {});
  return read_one(options, {1, FaultServer::s3(path), {offset, length}, into.data(), {}});
}

bool is_right(const std::vector<std::byte>& memory) {
  const auto object = FaultServer::object();
  return std::equal(memory.begin(), memory.end(), object.begin() + offset);
}

struct Refused {
  const char* spec;
  ErrorCode code;
  unsigned attempts;  ///< 0: as many as the time allows, as the store answers nobody
  const char* says;
};

void PrintTo(const Refused& refused, std::ostream* out) {
  *out << refused.spec;
}

std::string name_of(std::string spec) {
  std::replace_if(
      spec.begin(), spec.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return spec;
}

class S3Faults : public ::testing::TestWithParam<Refused> {};

TEST_P(S3Faults, EndInOneClearError) {
  const auto& refused = GetParam();
  std::vector<std::byte> memory;
  const auto done = read_spec(fault_options(), fmt::format("/{}/s3", refused.spec), memory);
  ASSERT_TRUE(done.error);
  const std::string message = done.error->what();
  EXPECT_EQ(done.error->code(), refused.code) << message;
  EXPECT_SAYS(message, refused.says);
  EXPECT_SAYS(message, fmt::format("s3://store/{}/s3", refused.spec));
  expect_presentable(message);
  if (refused.attempts > 0) {
    EXPECT_EQ(done.attempts, refused.attempts) << message;
  } else {
    EXPECT_GT(done.attempts, 2u) << message;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Servers, S3Faults,
    ::testing::Values(
        Refused{"code=AccessDenied", ErrorCode::access_denied, 1, "AccessDenied"},
        Refused{"code=InvalidAccessKeyId", ErrorCode::access_denied, 1, "InvalidAccessKeyId"},
        Refused{"code=SignatureDoesNotMatch", ErrorCode::access_denied, 1, "SignatureDoesNotMatch"},
        Refused{"code=InvalidToken", ErrorCode::access_denied, 1, "InvalidToken"},
        // Those of the environment stay as they are.
        Refused{"code=ExpiredToken", ErrorCode::access_denied, 2, "have expired"},
        Refused{"code=RequestTimeTooSkewed", ErrorCode::access_denied, 1, "clock"},
        Refused{"code=NoSuchBucket", ErrorCode::not_found, 1, "no bucket 'store'"},
        Refused{"code=NoSuchKey", ErrorCode::not_found, 1, "NoSuchKey"},
        Refused{"code=SlowDown", ErrorCode::network, 0, "SlowDown"},
        Refused{"code=TooManyRequests", ErrorCode::network, 0, "TooManyRequests"},
        Refused{"code=InternalError", ErrorCode::network, 0, "InternalError"},
        Refused{"code=RequestTimeout", ErrorCode::network, 0, "RequestTimeout"},
        Refused{"s503=empty", ErrorCode::network, 0, "HTTP 503"},
        Refused{"s403=empty", ErrorCode::access_denied, 1, "HTTP 403"},
        Refused{"s404=empty", ErrorCode::not_found, 1, "HTTP 404"},
        // XML that is none, and XML that is up to something.
        Refused{"bad_xml", ErrorCode::access_denied, 1, "HTTP 403"},
        Refused{"no_xml", ErrorCode::access_denied, 1, "HTTP 403"},
        Refused{"huge_xml", ErrorCode::access_denied, 1, "HTTP 403"},
        Refused{"nasty_xml", ErrorCode::access_denied, 1, "HTTP 403"},
        Refused{"entities", ErrorCode::access_denied, 1, "HTTP 403"},
        // Ways that lead nowhere.
        Refused{"nowhere", ErrorCode::network, 1, "HTTP 307"},
        Refused{"loop", ErrorCode::network, 1, "HTTP 307"},
        Refused{"to_file", ErrorCode::network, 1, "HTTP 302"},
        // A body that is not the object's.
        Refused{"wrong_range", ErrorCode::network, 3, "sent bytes 7 to 200006"},
        Refused{"longer", ErrorCode::network, 3, "length is 200100 bytes, not 200000"},
        Refused{"cut=10", ErrorCode::network, 3, "after 10 bytes of the body"},
        Refused{"stall_body=0", ErrorCode::timeout, 0, "no byte for 0.2 s"}),
    [](const auto& info) { return name_of(info.param.spec); });

class S3Recoveries : public ::testing::TestWithParam<const char*> {};

TEST_P(S3Recoveries, GiveTheRightBytes) {
  const std::string path = fmt::format("/{}/s3", GetParam());
  std::vector<std::byte> memory;
  const auto done = read_spec(fault_options(), path, memory);
  ASSERT_FALSE(done.error) << done.error->what();
  EXPECT_TRUE(is_right(memory));
  for (const auto& entry : fault_server().log(path)) {
    const auto& headers = entry.at("headers");
    EXPECT_TRUE(headers.contains("authorization"));
    EXPECT_EQ(headers.value("x-amz-security-token", ""), token);
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, S3Recoveries,
                         ::testing::Values("ok", "code=SlowDown,ok", "code=InternalError,ok",
                                           "code=RequestTimeout,ok", "s503=empty,ok", "reset,ok", "cut=70000,ok", "rst=70000,ok",
                                           "s307", "region301", "region400", "crc_right"),
                         [](const auto& info) { return name_of(info.param); });

TEST(S3, ResumedRangesAreSignedAnew) {
  std::vector<std::byte> memory;
  const auto done = read_spec(fault_options(), "/cut=70000,ok/resumed", memory);
  ASSERT_FALSE(done.error) << done.error->what();
  EXPECT_TRUE(is_right(memory));
  const auto log = fault_server().log("/cut=70000,ok/resumed");
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[1].at("range"), "bytes=170000-299999");
  EXPECT_EQ(log[1].at("headers").value("if-match", ""), "\"v1\"");
  EXPECT_NE(log[0].at("headers").at("authorization"), log[1].at("headers").at("authorization"));
}

// Credentials that others renew in their file: the store says that the old ones have expired.
TEST(S3, ExpiredCredentialsAreReadAgain) {
  const TempDir dir;
  const auto write_keys = [&](const std::string& id) {
    write_text(dir.file("credentials"),
               fmt::format("[default]\naws_access_key_id = {}\naws_secret_access_key = hidden{}\n"
                           "aws_session_token = hiddenToken{}\n",
                           id, id, id));
  };
  auto options = fault_options();
  for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}) {
    unsetenv(name);
  }
  setenv("AWS_SHARED_CREDENTIALS_FILE", dir.file("credentials").c_str(), 1);
  write_keys("OLDKEY");
  Client client(options);
  std::vector<std::byte> memory(length);
  client.read({1, FaultServer::s3("/ok/renewed"), {offset, length}, memory.data(), {}});
  EXPECT_FALSE(finish(client).at(0).error);
  write_keys("NEWKEY");
  const std::string path = "/code=ExpiredToken,ok/renewed";
  client.read({2, FaultServer::s3(path), {offset, length}, memory.data(), {}});
  const auto done = finish(client).at(0);
  setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
  ASSERT_FALSE(done.error) << done.error->what();
  EXPECT_TRUE(is_right(memory));
  const auto log = fault_server().log(path);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_SAYS(log[0].at("headers").at("authorization").get<std::string>(), "OLDKEY");
  EXPECT_SAYS(log[1].at("headers").at("authorization").get<std::string>(), "NEWKEY");
  EXPECT_EQ(client.counters().retries_by[static_cast<std::size_t>(RetryCause::expired)], 1u);
}

TEST(S3, TheSizeOfAnotherRegionsBucketIsFound) {
  for (const char* spec : {"region301", "region400"}) {
    const std::string path = fmt::format("/{}/size", spec);
    Client client(fault_options());
    for (std::uint64_t i = 0; i < 3; ++i) {
      client.stat(i, FaultServer::s3(path));
      const auto done = finish(client).at(0);
      ASSERT_FALSE(done.error) << done.error->what();
      EXPECT_EQ(done.info.size, size);
    }
    // The region is asked for once.
    EXPECT_EQ(client.counters().requests, 4u) << spec;
  }
}

// Where a redirect leads to another host, or to another port of the same one, neither signature nor
// token goes along.
TEST(S3, CredentialsStayWithTheEndpoint) {
  auto options = fault_options();
  options.ca_file = fault_server().ca_file();
  for (const char* spec : {"other_host", "other_port"}) {
    const std::string name = fmt::format("stays-{}", spec);
    std::vector<std::byte> memory;
    const auto done = read_spec(options, fmt::format("/{}/{}", spec, name), memory);
    ASSERT_FALSE(done.error) << done.error->what();
    EXPECT_TRUE(is_right(memory));
    const auto log = fault_server().log("/ok/" + name);
    ASSERT_EQ(log.size(), 1u) << spec;
    const auto& headers = log[0].at("headers");
    EXPECT_FALSE(headers.contains("authorization")) << spec;
    EXPECT_FALSE(headers.contains("x-amz-security-token")) << spec;
    EXPECT_EQ(log[0].at("range"), "bytes=100000-299999");
  }
}

TEST(S3, RedirectsDoNotLeaveTls) {
  auto options = fault_options();
  options.ca_file = fault_server().ca_file();
  options.s3.endpoint = fault_server().endpoint("https");
  std::vector<std::byte> memory;
  EXPECT_FALSE(read_spec(options, "/ok/tls", memory).error);
  const auto done = read_spec(options, "/to_http/leaves", memory);
  ASSERT_TRUE(done.error);
  expect_presentable(done.error->what());
  EXPECT_EQ(fault_server().count("/ok/leaves"), 0u);
}

TEST(S3, CertificatesAreChecked) {
  for (const char* port : {"wrong_name", "expired", "self_signed"}) {
    auto options = fault_options();
    options.ca_file = fault_server().ca_file();
    options.s3.endpoint = fault_server().endpoint(port);
    std::vector<std::byte> memory;
    const auto done = read_spec(options, "/ok/certificates", memory);
    ASSERT_TRUE(done.error) << port;
    EXPECT_EQ(done.error->code(), ErrorCode::network);
    EXPECT_EQ(done.attempts, 1u) << port;
    EXPECT_SAYS(done.error->what(), "certificate");
  }
  EXPECT_EQ(fault_server().count("/ok/certificates"), 0u);
}

TEST(S3, AServerWithoutTlsIsSaidToHaveNone) {
  auto options = fault_options();
  options.s3.endpoint = fault_server().endpoint();
  options.s3.endpoint.insert(4, "s");
  std::vector<std::byte> memory;
  const auto done = read_spec(options, "/ok/plain", memory);
  ASSERT_TRUE(done.error);
  EXPECT_EQ(done.error->code(), ErrorCode::network);
  expect_presentable(done.error->what());
}

// The object's own checksum is of all its bytes: it is compared where all of them are read.
TEST(S3, TheStoresChecksumIsUsed) {
  auto options = fault_options();
  std::vector<std::byte> memory(size);
  const auto whole = [&](const char* path) {
    return read_one(options, {1, FaultServer::s3(path), {0, size}, memory.data(), {}});
  };
  const auto right = whole("/crc_right/whole");
  ASSERT_FALSE(right.error) << right.error->what();
  EXPECT_EQ(right.info.crc32c, right.crc32c);
  const auto wrong = whole("/crc_wrong/whole");
  ASSERT_TRUE(wrong.error);
  EXPECT_SAYS(wrong.error->what(), "checksum");
  EXPECT_EQ(wrong.attempts, options.attempts);
  EXPECT_FALSE(whole("/crc_wrong,ok/whole").error);
}

TEST(S3, AnonymousRequestsAreNotSigned) {
  auto options = fault_options();
  options.s3.anonymous = true;
  std::vector<std::byte> memory;
  EXPECT_FALSE(read_spec(options, "/ok/anonymous", memory).error);
  const auto log = fault_server().log("/ok/anonymous");
  ASSERT_EQ(log.size(), 1u);
  EXPECT_FALSE(log[0].at("headers").contains("authorization"));
  EXPECT_FALSE(log[0].at("headers").contains("x-amz-security-token"));
}

// What a real store says to those whom it does not let in.
TEST(S3, RadosgwRefuses) {
  if (!Radosgw::installed()) GTEST_SKIP() << Radosgw::missing;
  radosgw().put("bucket/refused", pattern(1000));
  const auto error = [](const char* key, const char* its_secret, const std::string& uri) {
    use_credentials(key, its_secret);
    const auto done = stat_one(s3_options(radosgw().http()), uri);
    EXPECT_TRUE(done.error);
    const std::string message = done.error ? done.error->what() : "";
    EXPECT_EQ(message.find(its_secret), std::string::npos);
    EXPECT_EQ(done.attempts, 1u) << message;
    expect_presentable(message);
    return std::pair{done.error ? done.error->code() : ErrorCode::internal, message};
  };
  const std::string uri = "s3://bucket/refused";
  auto [code, says] = error(Radosgw::key, "notItsSecret", uri);
  EXPECT_EQ(code, ErrorCode::access_denied);
  EXPECT_SAYS(says, "SignatureDoesNotMatch");
  std::tie(code, says) = error("NOSUCHKEY", "secretOfNobody", uri);
  EXPECT_EQ(code, ErrorCode::access_denied);
  EXPECT_SAYS(says, "InvalidAccessKeyId");
  std::tie(code, says) = error(Radosgw::stranger, Radosgw::stranger_secret, uri);
  EXPECT_EQ(code, ErrorCode::access_denied);
  EXPECT_SAYS(says, "AccessDenied");
  std::tie(code, says) = error(Radosgw::key, Radosgw::secret, "s3://nosuchbucket/refused");
  EXPECT_EQ(code, ErrorCode::not_found);
  EXPECT_SAYS(says, "no bucket 'nosuchbucket'");
}

}  // namespace
}  // namespace faro::store::testing
