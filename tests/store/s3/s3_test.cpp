// What is asked of an S3 store, where, and what its refusals mean.
#include <gtest/gtest.h>

#include <algorithm>

#include "../../support/errors.hpp"
#include "environment.hpp"
#include "store/s3/address.hpp"
#include "store/s3/s3.hpp"

namespace faro::store::s3::testing {
namespace {

using test::error_of;

constexpr const char* token = "SESSIONTOKENOFTHETEST";
constexpr const char* own = "https://s3.centre.example:8080";

// A client for an endpoint (empty: AWS's own), with keys and a token of the environment.
struct Client {
  Environment environment;
  Options options;
  std::unique_ptr<S3> s3;

  explicit Client(const std::string& endpoint = own, const std::string& style = "auto",
                  bool anonymous = false) {
    environment.set_keys();
    environment.set("AWS_SESSION_TOKEN", token);
    options.s3.endpoint = endpoint;
    options.s3.style = style;
    options.s3.anonymous = anonymous;
    s3 = std::make_unique<S3>(options);
  }
  Target target(std::string_view uri) const { return s3->target(question(uri)); }
  static Question question(std::string_view uri) {
    return {"GET", uri, {}, {{"Range", "bytes=0-9"}, {"If-Match", "\"e\""}}, {}};
  }
  std::optional<Target> redirected(const Refusal& refusal,
                                   std::string_view uri = "s3://data/k") const {
    return s3->redirected(question(uri), refusal);
  }
};

std::string header(const Target& target, const std::string& name) {
  for (const auto& [key, value] : target.headers) {
    if (key == name) return value;
  }
  return "";
}

bool is_signed(const Target& target) {
  return header(target, "Authorization").starts_with("AWS4-HMAC-SHA256 ") &&
         header(target, "x-amz-security-token") == token && !header(target, "Host").empty();
}

bool is_bare(const Target& target) {
  return std::none_of(target.headers.begin(), target.headers.end(), [](const auto& entry) {
    return entry.first == "Authorization" || entry.first.starts_with("x-amz") ||
           entry.second.find(token) != std::string::npos;
  });
}

std::string error_xml(const std::string& code, const std::string& message = "",
                      const std::string& more = "") {
  return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>" + message +
         "</Message>" + more + "</Error>";
}

TEST(S3Uri, KeysAreLiteral) {
  EXPECT_EQ(parse_uri("s3://data/a b?c#d%20/../e").key, "a b?c#d%20/../e");
  EXPECT_EQ(parse_uri("S3://data").key, "");
  EXPECT_EQ(parse_uri("s3://data/").key, "");
  EXPECT_EQ(parse_uri("s3://data//x").key, "/x");
  EXPECT_EQ(parse_uri("s3://Da_ta.1/x").bucket, "Da_ta.1");
  for (const char* uri : {"", "s3://", "s3:///k", "s3://ab/k", "s3://-ab/k", "s3://a b/k",
                          "s3://a@bc/k", "s3://data?x/k", "s3://da\nta/k", "http://data/k"}) {
    error_of([&] { static_cast<void>(parse_uri(uri)); }, ErrorCode::invalid_argument);
  }
}

TEST(S3Address, Styles) {
  const auto url = [](const char* endpoint, const char* style, const char* uri) {
    return Client(endpoint, style).target(uri).url;
  };
  EXPECT_EQ(url(own, "auto", "s3://data/a b?c"), "https://s3.centre.example:8080/data/a%20b%3Fc");
  EXPECT_EQ(url(own, "virtual", "s3://data/k"), "https://data.s3.centre.example:8080/k");
  EXPECT_EQ(url("http://h/base~/x", "auto", "s3://data/k"), "http://h/base~/x/data/k");
  EXPECT_EQ(url("http://h:80", "auto", "s3://data"), "http://h/data");
  EXPECT_EQ(url("", "auto", "s3://data/k"), "https://data.s3.us-east-1.amazonaws.com/k");
  EXPECT_EQ(url("", "auto", "s3://data"), "https://data.s3.us-east-1.amazonaws.com/");
  EXPECT_EQ(url("", "auto", "s3://da.ta/k"), "https://s3.us-east-1.amazonaws.com/da.ta/k");
  EXPECT_EQ(url("", "auto", "s3://Data/k"), "https://s3.us-east-1.amazonaws.com/Data/k");
  EXPECT_EQ(url("", "path", "s3://data/../k"), "https://s3.us-east-1.amazonaws.com/data/../k");
  for (const char* uri : {"s3://da.ta/k", "s3://Data/k"}) {
    const auto error = error_of([&] { url(own, "virtual", uri); }, ErrorCode::invalid_argument);
    EXPECT_SAYS(error, "s3_style = path");
  }
  error_of([&] { url("http://127.0.0.1:1", "virtual", "s3://data/k"); },
           ErrorCode::invalid_argument);
  error_of([&] { url("http://[::1]:1", "virtual", "s3://data/k"); }, ErrorCode::invalid_argument);
}

TEST(S3Address, RegionsOfTheEndpoint) {
  Client client("");
  client.options.s3.region = "cn-north-1";
  EXPECT_EQ(S3(client.options).target(Client::question("s3://data/k")).url,
            "https://data.s3.cn-north-1.amazonaws.com.cn/k");
}

TEST(S3Target, SignsAllThatIsAsked) {
  Client client;
  auto question = Client::question("s3://data");
  question.query = {{"prefix", "a/b c"}, {"list-type", "2"}, {"delimiter", ""}};
  const auto target = client.s3->target(question);
  EXPECT_EQ(target.url,
            "https://s3.centre.example:8080/data?delimiter=&list-type=2&prefix=a%2Fb%20c");
  EXPECT_TRUE(is_signed(target));
  EXPECT_EQ(header(target, "Host"), "s3.centre.example:8080");
  EXPECT_EQ(header(target, "Range"), "bytes=0-9");
  EXPECT_EQ(header(target, "x-amz-content-sha256"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_SAYS(header(target, "Authorization"),
              "/us-east-1/s3/aws4_request, SignedHeaders=host;if-match;range;x-amz-content-sha256;"
              "x-amz-date;x-amz-security-token, ");
  const std::string body = "Welcome to Amazon S3.";
  question.body = std::as_bytes(std::span(body));
  EXPECT_EQ(header(client.s3->target(question), "x-amz-content-sha256"),
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
}

TEST(S3Target, AnonymousIsBare) {
  const Client client(own, "auto", true);
  const auto target = client.target("s3://data/k");
  EXPECT_TRUE(is_bare(target));
  EXPECT_EQ(header(target, "Range"), "bytes=0-9");
}

TEST(S3Redirect, ToTheBucketsRegion) {
  for (const char* endpoint : {"", own}) {
    const Client client(endpoint);
    const auto region = [](const Target& target) {
      const auto text = header(target, "Authorization");
      const auto at = text.find("/s3/aws4_request");
      const auto slash = text.rfind('/', at - 1);
      return text.substr(slash + 1, at - slash - 1);
    };
    EXPECT_EQ(region(client.target("s3://data/k")), "us-east-1");
    const auto next = client.redirected({.status = 301, .bucket_region = "eu-west-3"});
    ASSERT_TRUE(next);
    EXPECT_TRUE(is_signed(*next));
    EXPECT_EQ(region(*next), "eu-west-3");
    EXPECT_EQ(next->url, *endpoint == '\0' ? "https://data.s3.eu-west-3.amazonaws.com/k"
                                           : "https://s3.centre.example:8080/data/k");
    // It is kept, for this bucket alone; requests that were sent before learn it, too.
    EXPECT_EQ(region(client.target("s3://data/other")), "eu-west-3");
    EXPECT_EQ(region(client.target("s3://other/k")), "us-east-1");
    EXPECT_TRUE(client.redirected({.status = 301, .bucket_region = "eu-west-3"}));
    const auto body = error_xml("AuthorizationHeaderMalformed", "wrong", "<Region>ap-1</Region>");
    EXPECT_EQ(region(client.redirected({.status = 400, .body = body}).value()), "ap-1");
  }
}

TEST(S3Redirect, ARegionThatIsNoHelp) {
  const Client client("");
  EXPECT_FALSE(client.redirected({.status = 301, .bucket_region = "us-east-1"}));
  EXPECT_FALSE(client.redirected({.status = 301, .bucket_region = "evil.example/"}));
  EXPECT_FALSE(client.redirected({.status = 301}));
  const auto expired = error_xml("ExpiredToken", "", "<Region>eu-west-1</Region>");
  EXPECT_FALSE(client.redirected({.status = 400, .bucket_region = "eu-west-1", .body = expired}));
  EXPECT_FALSE(client.redirected({.status = 403, .location = "https://other.example/"}));
  EXPECT_FALSE(client.redirected({.status = 200, .location = "https://other.example/"}));
}

TEST(S3Redirect, ToTheEndpointItselfIsSignedAnew) {
  const Client client;
  for (const long status : {301L, 302L, 307L, 308L}) {
    const auto next = client.redirected(
        {.status = status, .location = "https://s3.centre.example:8080/data/k%20k?b=2&a=%2F"});
    ASSERT_TRUE(next) << status;
    EXPECT_EQ(next->url, "https://s3.centre.example:8080/data/k%20k?a=%2F&b=2");
    EXPECT_TRUE(is_signed(*next));
  }
  EXPECT_TRUE(is_signed(client.redirected({.status = 307, .location = "/data/other"}).value()));
  EXPECT_TRUE(is_signed(
      client.redirected({.status = 307, .location = "https://data.s3.centre.example:8080/k"})
          .value()));
  const Client plain("http://s3.centre.example");
  EXPECT_TRUE(is_signed(
      plain.redirected({.status = 301, .location = "https://s3.centre.example/data/k"}).value()));
  const Client aws("");
  EXPECT_TRUE(is_signed(
      aws.redirected({.status = 307, .location = "https://data.s3-us-west-2.amazonaws.com/k"})
          .value()));
}

TEST(S3Redirect, ToAnotherHostIsBare) {
  const Client client;
  for (const char* location :
       {"https://target.example:51081/v1/objects/data/k?pid=p[8080]&utm=1", "//target.example/x",
        "https://s3.centre.example/data/k", "https://s3.centre.example:8081/data/k",
        "https://s3.centre.example:8080.evil.example/k",
        "https://evils3.centre.example:8080/data/k",
        "https://s3.centre.example:8080/data/k?X-Amz-Signature=abc&X-Amz-Date=1"}) {
    const auto next = client.redirected({.status = 307, .location = location});
    if (!next) continue;
    EXPECT_TRUE(is_bare(*next)) << location;
    EXPECT_EQ(header(*next, "Range"), "bytes=0-9");
    EXPECT_TRUE(next->url.starts_with("https://")) << next->url;
  }
  EXPECT_EQ(client
                .redirected({.status = 307,
                             .location = "https://target.example:51081/v1/k?pid=p[8080]&utm=1"})
                ->url,
            "https://target.example:51081/v1/k?pid=p[8080]&utm=1");
  // AWS's names for others' machines are no S3.
  const Client aws("");
  for (const char* location :
       {"https://ec2-1-2-3-4.compute.amazonaws.com/k", "https://s3.evil.example/k",
        "https://data.s3.evil.amazonaws.com.evil.example/k",
        "https://s3.us-east-1.amazonaws.com:8443/data/k"}) {
    EXPECT_TRUE(is_bare(aws.redirected({.status = 307, .location = location}).value())) << location;
  }
}

TEST(S3Redirect, CredentialsOfTheQuestionStayToo) {
  const Client client;
  auto question = Client::question("s3://data/k");
  question.headers.emplace_back("authorization", "Basic x");
  question.headers.emplace_back("Cookie", "x");
  question.headers.emplace_back("X-Amz-Security-Token", token);
  question.headers.emplace_back("x-amz-server-side-encryption-customer-key", "x");
  const auto next =
      client.s3->redirected(question, {.status = 307, .location = "https://other.example/k"});
  EXPECT_EQ(next.value().headers, Client::question("").headers);
}

TEST(S3Redirect, NeverFromHttpsToHttpAndNotToNonsense) {
  const Client client;
  for (const char* location :
       {"", "http://s3.centre.example:8080/data/k", "http://target.example/k", "ftp://h/k",
        "relative/k", "https://user:secret@h/k", "https://h/\r\nX-Header: y", "?x"}) {
    EXPECT_FALSE(client.redirected({.status = 307, .location = location})) << location;
  }
}

// What another host says next is not signed, whoever it leads to.
TEST(S3Redirect, AnotherHostGetsNothingSigned) {
  const Client client;
  const auto next = client.redirected({.status = 307,
                                       .location = "https://s3.centre.example:8080/secret/object",
                                       .url = "https://target.example/k"});
  EXPECT_TRUE(is_bare(next.value()));
  EXPECT_FALSE(client.redirected(
      {.status = 301, .bucket_region = "eu-west-3", .url = "https://target.example/k"}));
  EXPECT_EQ(
      client.redirected({.status = 307, .location = "/n", .url = "https://target.example/k"})->url,
      "https://target.example/n");
  const Client plain("http://s3.centre.example");
  EXPECT_FALSE(plain.redirected(
      {.status = 307, .location = "http://h/k", .url = "https://target.example/k"}));
}

struct Case {
  long status;
  const char* code;
  Cause cause;
  const char* says;
};

TEST(S3Explain, CodesAndStatuses) {
  const Client client;
  for (const auto& [status, code, cause, says] :
       {Case{503, "SlowDown", Cause::throttled, "fewer requests"},
        Case{200, "SlowDown", Cause::throttled, "SlowDown"},
        Case{400, "ThrottlingException", Cause::throttled, ""},
        Case{400, "RequestLimitExceeded", Cause::throttled, ""},
        Case{500, "InternalError", Cause::server_error, ""},
        Case{200, "InternalError", Cause::server_error, ""},
        Case{400, "RequestTimeout", Cause::server_error, ""},
        Case{404, "NoSuchKey", Cause::not_found, "no such object"},
        Case{404, "NoSuchBucket", Cause::not_found, "no bucket 'data' at s3.centre.example:8080"},
        Case{404, "NoSuchUpload", Cause::not_found, ""},
        Case{403, "AccessDenied", Cause::access_denied, "the environment (AWS_ACCESS_KEY_ID)"},
        Case{403, "InvalidAccessKeyId", Cause::access_denied, "does not know"},
        Case{403, "SignatureDoesNotMatch", Cause::access_denied, "the secret of the environment"},
        Case{403, "AllAccessDisabled", Cause::access_denied, ""},
        Case{403, "InvalidObjectState", Cause::access_denied, "restore"},
        Case{400, "ExpiredToken", Cause::expired, "have expired"},
        Case{400, "TokenRefreshRequired", Cause::expired, "have expired"},
        Case{412, "PreconditionFailed", Cause::changed, "replaced"},
        Case{416, "InvalidRange", Cause::changed, "ends before"},
        Case{400, "SomethingElse", Cause::invalid, "SomethingElse"},
        Case{501, "NotImplemented", Cause::unsupported, ""},
        Case{301, "PermanentRedirect", Cause::invalid, "another endpoint_url"},
        Case{401, "", Cause::access_denied, "HTTP 401"},
        Case{403, "", Cause::access_denied, ""},
        Case{404, "", Cause::not_found, ""},
        Case{408, "", Cause::server_error, ""},
        Case{412, "", Cause::changed, "replaced"},
        Case{416, "", Cause::changed, "ends before"},
        Case{429, "", Cause::throttled, ""},
        Case{503, "", Cause::throttled, ""},
        Case{500, "", Cause::server_error, ""},
        Case{502, "", Cause::server_error, ""},
        Case{400, "", Cause::invalid, ""},
        Case{405, "", Cause::unsupported, ""},
        Case{307, "", Cause::unsupported, "redirects"}}) {
    const std::string body = *code == '\0' ? "" : error_xml(code, "Their words.");
    const auto failure =
        client.s3->explain(Client::question("s3://data/k"), {.status = status, .body = body});
    EXPECT_EQ(failure.cause, cause) << status << code << ": " << failure.text;
    EXPECT_SAYS(failure.text, says);
    EXPECT_SAYS(failure.text, "HTTP " + std::to_string(status));
    if (*code != '\0') {
      EXPECT_SAYS(failure.text, std::string(code) + " (Their words.)");
    }
  }
}

TEST(S3Explain, ClocksAndRegions) {
  const Client client("");
  const auto explain = [&](const Refusal& refusal) {
    return client.s3->explain(Client::question("s3://data/k"), refusal).text;
  };
  const auto skewed =
      error_xml("RequestTimeTooSkewed", "", "<ServerTime>2001-02-03T04:05:06Z</ServerTime>");
  EXPECT_SAYS(explain({.status = 403, .body = skewed}), "clock says 2001-02-03T04:05:06Z, this");
  const auto bare = error_xml("RequestTimeTooSkewed");
  EXPECT_SAYS(explain({.status = 403, .date = "Sat, 03 Feb 2001 04:05:06 GMT", .body = bare}),
              "clock says Sat, 03 Feb 2001 04:05:06 GMT, this machine's 2");
  EXPECT_SAYS(explain({.status = 301, .bucket_region = "eu-west-3"}),
              "in region eu-west-3: give region = eu-west-3");
  const auto malformed = error_xml("AuthorizationHeaderMalformed", "", "<Region>ap-1</Region>");
  EXPECT_SAYS(explain({.status = 400, .body = malformed}), "in region ap-1");
}

TEST(S3Explain, NoSecretWhateverTheStoreSays) {
  const Client client;
  const std::string all =
      "AKIATESTKEYID testsecret/0123+abc " + std::string(token) + "\n\x1b[31m AKIATESTKEYID";
  for (const char* code : {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch",
                           "ExpiredToken", "RequestTimeTooSkewed", "NoSuchBucket", "SlowDown",
                           "PermanentRedirect", "AKIATESTKEYID", "Unknown"}) {
    for (const long status : {200L, 301L, 400L, 403L, 404L, 500L}) {
      const auto body =
          error_xml(code, all + std::string(5000, 'x'), "<ServerTime>\n</ServerTime>");
      const auto text = client.s3
                            ->explain(Client::question("s3://data/k"),
                                      {.status = status, .date = "a\nb", .body = body})
                            .text;
      EXPECT_EQ(text.find("testsecret"), text.npos) << text;
      EXPECT_EQ(text.find("TESTKEYID"), text.npos) << text;
      EXPECT_EQ(text.find("SESSIONTOKEN"), text.npos) << text;
      EXPECT_EQ(text.find('\n'), text.npos) << text;
      EXPECT_EQ(text.find('\x1b'), text.npos) << text;
      EXPECT_LT(text.size(), 600u) << text;
    }
  }
}

TEST(S3Explain, ExpiredKeysAreReadAgain) {
  Environment environment;
  const auto write = [&](const std::string& id) {
    environment.write(".aws/credentials", "[default]\naws_access_key_id = " + id +
                                              "\naws_secret_access_key = hidden\n");
  };
  write("FIRST");
  Options options;
  options.s3.endpoint = own;
  S3 s3(options);
  const auto question = Client::question("s3://data/k");
  const auto signed_by = [&] { return header(s3.target(question), "Authorization"); };
  EXPECT_SAYS(signed_by(), "Credential=FIRST/");
  write("SECOND");
  EXPECT_SAYS(signed_by(), "Credential=FIRST/");
  const auto body = error_xml("ExpiredToken");
  EXPECT_EQ(s3.explain(question, {.status = 400, .body = body}).cause, Cause::expired);
  EXPECT_SAYS(signed_by(), "Credential=SECOND/");
}

TEST(S3Explain, ExpiredKeysOfTheEnvironmentAreTheEnd) {
  const Client client;
  const auto body = error_xml("ExpiredToken");
  EXPECT_EQ(
      client.s3->explain(Client::question("s3://data/k"), {.status = 400, .body = body}).cause,
      Cause::expired);
  EXPECT_SAYS(error_of([&] { client.target("s3://data/k"); }, ErrorCode::access_denied),
              "set new ones");
}

TEST(S3, CaBundleOfTheSettings) {
  Client client;
  EXPECT_EQ(client.s3->ca_bundle(), "");
  client.environment.set("AWS_CA_BUNDLE", "/ca.pem");
  EXPECT_EQ(S3(client.options).ca_bundle(), "/ca.pem");
}

}  // namespace
}  // namespace faro::store::s3::testing
