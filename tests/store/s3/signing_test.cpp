// Signatures against those that AWS publishes.
#include <gtest/gtest.h>

#include "store/s3/address.hpp"
#include "store/s3/encoding.hpp"
#include "store/s3/sigv4.hpp"
#include "vectors.hpp"

namespace faro::store::s3::testing {
namespace {

using namespace std::chrono_literals;

Time at(int year, unsigned month, unsigned day, std::chrono::seconds time) {
  return std::chrono::sys_days(std::chrono::year_month_day{
             std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)}) +
         time;
}

struct Request {
  std::string method, path, body;
  Pairs query, headers;
};

// A line that begins with a blank is one more value of the header before it, by the suite.
Request parse(std::string_view text) {
  const auto take_line = [&] {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() + 1);
    return line;
  };
  const auto first = take_line();
  const auto space = first.find(' ');
  const auto target = first.substr(space + 1);
  const auto question = target.find('?');
  Request out{
      std::string(first.substr(0, space)), std::string(target.substr(0, question)), "", {}, {}};
  if (question != target.npos) out.query = parse_query(target.substr(question + 1)).value();
  while (!text.empty()) {
    const auto line = take_line();
    if (line.empty()) break;
    const auto colon = line.find(':');
    const auto name =
        line[0] == ' ' ? std::string(out.headers.back().first) : std::string(line.substr(0, colon));
    out.headers.emplace_back(name, line[0] == ' ' ? line : line.substr(colon + 1));
  }
  out.body = text;
  return out;
}

std::string hash_of(const std::string& body) {
  return sha256_hex(std::as_bytes(std::span(body)));
}

std::string signature_of(const std::string& authorization) {
  return authorization.substr(authorization.find("Signature=") + 10);
}

TEST(Signing, SuiteOfAws) {
  const Keys keys{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
  const Scope scope{"us-east-1", "service", at(2015, 8, 30, 12h + 36min)};
  Signer signer;
  for (const auto& vector : suite) {
    auto request = parse(vector.request);
    request.headers.emplace_back("Host", "example.amazonaws.com");
    request.headers.emplace_back("X-Amz-Date", amz_date(scope.now));
    const auto hash = hash_of(request.body);
    const Signable what{request.method, request.path, request.query, request.headers, hash};
    const auto authorization = signer.authorization(what, keys, scope);
    EXPECT_EQ(signature_of(authorization), vector.signature) << vector.name << '\n'
                                                             << canonical_request(what);
    EXPECT_TRUE(authorization.starts_with(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders="))
        << authorization;
  }
}

TEST(Signing, ExamplesOfS3) {
  const Keys keys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
  const Scope scope{"us-east-1", "s3", at(2013, 5, 24, 0s)};
  Signer signer;
  for (const auto& vector : s3_examples) {
    auto request = parse(vector.request);
    const auto hash = hash_of(request.body);
    request.headers.emplace_back("Host", "examplebucket.s3.amazonaws.com");
    request.headers.emplace_back("x-amz-content-sha256", hash);
    request.headers.emplace_back("x-amz-date", "20130524T000000Z");
    const Signable what{request.method, request.path, request.query, request.headers, hash};
    EXPECT_EQ(signature_of(signer.authorization(what, keys, scope)), vector.signature)
        << vector.name << '\n'
        << canonical_request(what);
  }
}

// A signer remembers keys by region and day: changes of either, or of the secret, count.
TEST(Signing, RemembersNoWrongKey) {
  const Pairs none, headers{{"Host", "h"}};
  const Signable what{"GET", "/", none, headers, "x"};
  Signer signer;
  const auto signature = [](Signer& with, const Signable& it, const char* secret,
                            const char* region, Time now) {
    return with.authorization(it, {"id", secret, ""}, {region, "s3", now});
  };
  const Time day = at(2026, 1, 1, 1h);
  for (const char* secret : {"one", "two"}) {
    for (const char* region : {"a", "b"}) {
      for (const Time now : {day, day + 24h, day}) {
        Signer other;
        EXPECT_EQ(signature(signer, what, secret, region, now),
                  signature(other, what, secret, region, now));
      }
    }
  }
}

TEST(Signing, LeavesOutWhatChangesOnTheWay) {
  const Pairs none, headers{{"Host", "h"},
                            {"Accept-Encoding", "identity"},
                            {"User-Agent", "x"},
                            {"If-Match", "\"e\""}};
  EXPECT_EQ(canonical_request({"GET", "/", none, headers, "hash"}),
            "GET\n/\n\nhost:h\nif-match:\"e\"\n\nhost;if-match\nhash");
}

TEST(Signing, DatesOfAllLengths) {
  EXPECT_EQ(amz_date(at(2024, 2, 29, 23h + 59min + 59s) + 999ms), "20240229T235959Z");
  EXPECT_EQ(amz_date(Time()), "19700101T000000Z");
}

TEST(Encoding, KeepsOnlyWhatIsUnreserved) {
  EXPECT_EQ(percent_encoded("dir/a b+c=d'(e):e%.bin", true),
            "dir/a%20b%2Bc%3Dd%27%28e%29%3Ae%25.bin");
  EXPECT_EQ(percent_encoded("a/b~\xC3\xA9"), "a%2Fb~%C3%A9");
  EXPECT_EQ(percent_encoded(std::string_view("\0\x7f", 2)), "%00%7F");
  EXPECT_EQ(canonical_query({{"b", ""}, {"a", "2 3"}, {"a", "1"}, {"A", "/"}}),
            "A=%2F&a=1&a=2%203&b=");
}

TEST(Encoding, GoesThereAndBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(percent_decoded(percent_encoded(all)), all);
  EXPECT_EQ(percent_decoded("a+b%2b"), "a+b+");
  EXPECT_EQ(percent_decoded("a+b%2b", true), "a b+");
  for (const char* wrong : {"%", "%4", "a%4", "%G0", "%0G", "%%41"}) {
    EXPECT_FALSE(percent_decoded(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace faro::store::s3::testing
