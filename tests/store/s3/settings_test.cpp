// Which of several settings counts, and how the shared files are read.
#include <gtest/gtest.h>

#include "../../support/errors.hpp"
#include "environment.hpp"
#include "store/s3/settings.hpp"

namespace faro::store::s3::testing {
namespace {

using test::error_of;

ProfileFile parse(std::string_view text, ProfileKind kind = ProfileKind::config) {
  return parse_profiles(text, "FILE", kind);
}

S3Options with(std::string S3Options::*setting, const std::string& value) {
  S3Options out;
  out.*setting = value;
  return out;
}

TEST(ProfileFile, SectionsSettingsAndComments) {
  const auto file = parse(
      "\xEF\xBB\xBF# a comment\r\n[default]\r\nRegion = eu-west-1 # here\r\n; another\r\n"
      "a=b;c#d\n\n"
      "[profile  \"with blank\" ] ; comment\noutput=  json  \n"
      "[profile x]\nregion=\none = 1\none = 2\n[sso-session s]\nregion = no\n  nested\n"
      "[other]\nregion = no\n[services s]\ns3 =\n  endpoint_url = https://a:1 ;x\n"
      "  addressing_style = path\ndynamodb =\n  endpoint_url = https://b\n[profile x]\nthree = 3");
  EXPECT_EQ(file.profiles.at("default"), (Properties{{"region", "eu-west-1"}, {"a", "b;c#d"}}));
  EXPECT_EQ(file.profiles.at("with blank"), (Properties{{"output", "json"}}));
  EXPECT_EQ(file.profiles.at("x"), (Properties{{"region", ""}, {"one", "2"}, {"three", "3"}}));
  EXPECT_EQ(file.profiles.size(), 3u);
  EXPECT_EQ(file.services.at("s").at("s3.endpoint_url"), "https://a:1");
  EXPECT_EQ(file.services.at("s").at("s3.addressing_style"), "path");
  EXPECT_EQ(file.services.at("s").at("dynamodb.endpoint_url"), "https://b");
}

TEST(ProfileFile, NamedDefaultIsMeant) {
  for (const char* text : {"[profile default]\nregion=a\n[default]\nregion=b\nx=1",
                           "[default]\nregion=b\nx=1\n[profile default]\nregion=a"}) {
    EXPECT_EQ(parse(text).profiles.at("default"), (Properties{{"region", "a"}})) << text;
  }
}

TEST(ProfileFile, CredentialsHaveNamesAlone) {
  const auto file = parse("[default]\na=1\n[profile x]\na=2\n[x]\na=3", ProfileKind::credentials);
  EXPECT_EQ(file.profiles.at("profile x").at("a"), "2");
  EXPECT_EQ(file.profiles.at("x").at("a"), "3");
}

TEST(ProfileFile, CommandsKeepAllAndGoOn) {
  const auto file = parse("[default]\ncredential_process = sh -c \"a ; b #c\"\n   --more\n");
  EXPECT_EQ(file.profiles.at("default").at("credential_process"), "sh -c \"a ; b #c\" --more");
}

TEST(ProfileFile, ErrorsNameTheLineAndNeverAValue) {
  const auto says = [](const std::string& text, const std::string& line) {
    const auto error =
        error_of([&] { static_cast<void>(parse(text)); }, ErrorCode::invalid_argument);
    EXPECT_SAYS(error, "FILE:" + line + ": ");
    EXPECT_EQ(error.find("SECRET"), error.npos) << error;
  };
  says("x = SECRET", "1");
  says("[default]\n\naws_secret_access_key SECRET", "3");
  says("[default]\n= SECRET", "2");
  says("[default\nx=SECRET", "1");
  says("[default] SECRET", "1");
  says("[]", "1");
  says("[default]\ns3 =\n  SECRET", "3");
  says(std::string("[default]\na=SECRET\0", 19), "2");
  says(std::string((1U << 20) + 1, 'x'), "0");
}

TEST(Url, WellFormed) {
  const auto url = parse_url("HTTPS://S3.Centre.example:8080/base/x?y=1#frag");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->secure);
  EXPECT_EQ(url->host, "s3.centre.example");
  EXPECT_EQ(url->port, 8080u);
  EXPECT_EQ(url->path, "/base/x");
  EXPECT_EQ(url->query, "y=1");
  EXPECT_EQ(url->origin(), "https://s3.centre.example:8080");
  EXPECT_EQ(parse_url("https://h:443")->authority(), "h");
  EXPECT_EQ(parse_url("http://h")->port, 80u);
  EXPECT_EQ(parse_url("http://[::1]:99/")->authority(), "[::1]:99");
  EXPECT_EQ(parse_url("http://[::1]")->authority(), "[::1]");
}

TEST(Url, Malformed) {
  for (const char* text :
       {"", "h", "ftp://h", "http:/h", "http://", "http:///p", "http://u:p@h", "http://u@h/",
        "http://h:", "http://h:0", "http://h:65536", "http://h:1x", "http://h:-1", "http://h h",
        "http://h/a b", "http://h/\r\nX-Header: y", "http://h\x7f", "http://::1", "http://h%41"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
}

TEST(Settings, NothingGiven) {
  Environment environment;
  const auto settings = read_settings({});
  EXPECT_FALSE(settings.endpoint);
  EXPECT_EQ(settings.region, "us-east-1");
  EXPECT_EQ(settings.style, Style::automatic);
  EXPECT_EQ(settings.ca_bundle, "");
  EXPECT_FALSE(settings.anonymous);
  EXPECT_EQ(settings.config_file, environment.home() + "/.aws/config");
}

// Sources from the least to the most that counts, each added to those before.
TEST(Settings, OrderOfEndpoints) {
  Environment environment;
  const auto endpoint = [](const S3Options& options = {}) {
    const auto settings = read_settings(options);
    return settings.endpoint ? settings.endpoint->origin() : "AWS";
  };
  environment.write(".aws/config", "[default]\nendpoint_url = http://profile\n");
  EXPECT_EQ(endpoint(), "http://profile");
  environment.write(".aws/config",
                    "[default]\nendpoint_url = http://profile\nservices = s\n"
                    "[services s]\ns3 =\n  endpoint_url = http://services\n");
  EXPECT_EQ(endpoint(), "http://services");
  environment.set("AWS_ENDPOINT_URL", "http://all");
  EXPECT_EQ(endpoint(), "http://all");
  environment.set("AWS_ENDPOINT_URL_S3", "http://s3");
  EXPECT_EQ(endpoint(), "http://s3");
  environment.set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
  EXPECT_EQ(endpoint(), "AWS");
  EXPECT_EQ(endpoint(with(&S3Options::endpoint, "http://option/base/")), "http://option");
  EXPECT_EQ(read_settings(with(&S3Options::endpoint, "http://option/base/")).endpoint->path,
            "/base");
}

TEST(Settings, OrderOfRegions) {
  Environment environment;
  environment.write(".aws/config", "[default]\nregion = from-profile\n");
  EXPECT_EQ(read_settings({}).region, "from-profile");
  environment.set("AWS_DEFAULT_REGION", "from-default");
  EXPECT_EQ(read_settings({}).region, "from-default");
  environment.set("AWS_REGION", "from-region");
  EXPECT_EQ(read_settings({}).region, "from-region");
  EXPECT_EQ(read_settings(with(&S3Options::region, "given")).region, "given");
}

TEST(Settings, ProfilesAndFilesElsewhere) {
  Environment environment;
  environment.set("AWS_CONFIG_FILE",
                  environment.write("c",
                                    "[profile a]\nregion=ra\nca_bundle=~/ca.pem\n"
                                    "s3 =\n addressing_style = virtual\n"
                                    "[profile b]\nregion=rb\n"));
  environment.set("AWS_SHARED_CREDENTIALS_FILE", environment.write("d", "[c]\n"));
  environment.set("AWS_PROFILE", "a");
  const auto settings = read_settings({});
  EXPECT_EQ(settings.region, "ra");
  EXPECT_EQ(settings.ca_bundle, environment.home() + "/ca.pem");
  EXPECT_EQ(settings.style, Style::virtual_host);
  EXPECT_FALSE(settings.profile_given);
  EXPECT_EQ(read_settings(with(&S3Options::style, "path")).style, Style::path);
  EXPECT_EQ(read_settings(with(&S3Options::profile, "b")).region, "rb");
  EXPECT_TRUE(read_settings(with(&S3Options::profile, "b")).profile_given);
  EXPECT_EQ(read_settings(with(&S3Options::profile, "c")).region, "us-east-1");
  environment.set("AWS_CA_BUNDLE", "/env.pem");
  EXPECT_EQ(read_settings({}).ca_bundle, "/env.pem");
  const auto error =
      error_of([] { static_cast<void>(read_settings(with(&S3Options::profile, "nobody"))); },
               ErrorCode::invalid_argument);
  EXPECT_SAYS(error, "'nobody' is neither in " + environment.home() + "/c nor in ");
}

TEST(Settings, AnonymousByTheEnvironment) {
  Environment environment;
  environment.set("AWS_NO_SIGN_REQUEST", "YES");
  EXPECT_TRUE(read_settings({}).anonymous);
}

TEST(Settings, Absurd) {
  Environment environment;
  const auto refused = [](const S3Options& options, const char* what) {
    EXPECT_SAYS(
        error_of([&] { static_cast<void>(read_settings(options)); }, ErrorCode::invalid_argument),
        what);
  };
  refused(with(&S3Options::endpoint, "s3.centre.example"), "endpoint_url");
  refused(with(&S3Options::endpoint, "http://user:hidden@h"), "endpoint_url");
  refused(with(&S3Options::endpoint, "http://h?x=1"), "endpoint_url");
  refused(with(&S3Options::region, "a/b"), "region");
  refused(with(&S3Options::region, "a\r\nX: y"), "region");
  refused(with(&S3Options::style, "dns"), "s3_style");
  environment.set("AWS_ENDPOINT_URL", "http://user:hidden@h");
  const auto error =
      error_of([] { static_cast<void>(read_settings({})); }, ErrorCode::invalid_argument);
  EXPECT_SAYS(error, "AWS_ENDPOINT_URL");
  EXPECT_EQ(error.find("hidden"), error.npos);
  environment.set("AWS_ENDPOINT_URL", "");
  environment.write(".aws/config", "[default]\nservices = none\n");
  refused({}, "services");
  environment.write(".aws/config", "[default]\nsomething\n");
  refused({}, ".aws/config:2: ");
}

}  // namespace
}  // namespace faro::store::s3::testing
