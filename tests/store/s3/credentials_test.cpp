// Where keys come from, and what happens when they end.
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "../../support/errors.hpp"
#include "environment.hpp"
#include "store/s3/credentials.hpp"
#include "store/s3/process.hpp"

namespace faro::store::s3::testing {
namespace {

using namespace std::chrono_literals;
using test::error_of;

Time now() {
  return std::chrono::system_clock::now();
}

std::string id_of(CredentialChain& chain, Time when = now()) {
  const auto* keys = chain.get(when);
  return keys == nullptr ? "none" : keys->id;
}

std::string first_id(const S3Options& options = {}) {
  CredentialChain chain(read_settings(options));
  return id_of(chain);
}

S3Options profile(const std::string& name) {
  S3Options out;
  out.profile = name;
  return out;
}

std::string keys(const std::string& id) {
  return "aws_access_key_id = " + id + "\naws_secret_access_key = hidden-" + id + "\n";
}

std::string answer(const std::string& id, const std::string& expiration = "") {
  return R"({"Version": 1, "AccessKeyId": ")" + id + R"(", "SecretAccessKey": "hidden")" +
         (expiration.empty() ? "" : R"(, "Expiration": ")" + expiration + "\"") + "}";
}

// A script that counts its runs in a file, and answers with that number as the key's id.
std::string counting(const Environment& environment, const std::string& lifetime) {
  return environment.write_script(
      "process.sh", "echo run >>" + environment.home() + "/runs\n" + "n=$(wc -l <" +
                        environment.home() + "/runs)\n" + "t=$(date -u -d '" + lifetime +
                        "' +%Y-%m-%dT%H:%M:%SZ)\n" +
                        "printf '{\"Version\":1,\"AccessKeyId\":\"run%d\",\"SecretAccessKey\":"
                        "\"hidden\",\"SessionToken\":\"t\",\"Expiration\":\"%s\"}' $n $t\n");
}

TEST(Credentials, OrderOfSources) {
  Environment environment;
  const auto process = environment.write_script("p", "printf '%s' '" + answer("process") + "'\n");
  environment.write(".aws/config", "[default]\n" + keys("config") + "[profile p]\n" + keys("of-p") +
                                       "[profile q]\ncredential_process = " + process + "\n");
  EXPECT_EQ(first_id(), "config");
  environment.write(".aws/credentials", "[default]\n" + keys("credentials"));
  EXPECT_EQ(first_id(), "credentials");
  EXPECT_EQ(first_id(profile("q")), "process");
  environment.set("AWS_PROFILE", "p");
  EXPECT_EQ(first_id(), "of-p");
  environment.set_keys();
  EXPECT_EQ(first_id(), "AKIATESTKEYID");
  EXPECT_EQ(first_id(profile("p")), "of-p");
  S3Options anonymous;
  anonymous.anonymous = true;
  EXPECT_EQ(first_id(anonymous), "none");
}

TEST(Credentials, NoneAtAllSaysWhereItLooked) {
  Environment environment;
  const auto error = error_of([] { first_id(); }, ErrorCode::access_denied);
  EXPECT_SAYS(error, "AWS_ACCESS_KEY_ID");
  EXPECT_SAYS(error, environment.home() + "/.aws/credentials");
  EXPECT_SAYS(error, environment.home() + "/.aws/config");
}

TEST(Credentials, HalfAPairAndOddCharacters) {
  Environment environment;
  environment.set("AWS_ACCESS_KEY_ID", "hidden");
  const auto half = error_of([] { first_id(); }, ErrorCode::invalid_argument);
  EXPECT_SAYS(half, "only one of");
  environment.set("AWS_SECRET_ACCESS_KEY", "hidden\r\nX-Header: y");
  const auto odd = error_of([] { first_id(); }, ErrorCode::invalid_argument);
  EXPECT_SAYS(odd, "odd character");
  EXPECT_EQ((half + odd).find("hidden"), std::string::npos);
}

TEST(Credentials, RolesAreRefusedWithAWayOut) {
  Environment environment;
  environment.write(".aws/config", "[profile r]\nrole_arn = arn:aws:iam::1:role/x\n" + keys("a"));
  const auto error = error_of([] { first_id(profile("r")); }, ErrorCode::invalid_argument);
  EXPECT_SAYS(error, "role_arn");
  EXPECT_SAYS(error, "aws configure export-credentials --profile r --format process");
}

TEST(Credentials, AFileIsReadAgainAfterTheStoreSaysExpired) {
  Environment environment;
  environment.write(".aws/credentials", "[default]\n" + keys("old"));
  CredentialChain chain(read_settings({}));
  const Time start = now();
  EXPECT_EQ(id_of(chain, start), "old");
  environment.write(".aws/credentials", "[default]\n" + keys("new"));
  EXPECT_EQ(id_of(chain, start), "old");
  chain.expired();
  EXPECT_EQ(id_of(chain, start), "new");
  // In the middle of a change the file may be anything: the keys stay until it can be read.
  environment.write(".aws/credentials", "[default]\naws_access_key_id");
  chain.expired();
  EXPECT_EQ(id_of(chain, start + 2s), "new");
  EXPECT_SAYS(chain.problem(), ".aws/credentials:2: ");
  environment.write(".aws/credentials", "[default]\n" + keys("newest"));
  chain.expired();
  EXPECT_EQ(id_of(chain, start + 2s), "new");  // asked for again within a second
  chain.expired();
  EXPECT_EQ(id_of(chain, start + 4s), "newest");
  EXPECT_EQ(chain.problem(), "");
}

TEST(Credentials, ThoseOfTheEnvironmentEndForGood) {
  Environment environment;
  environment.set_keys();
  CredentialChain chain(read_settings({}));
  EXPECT_EQ(id_of(chain), "AKIATESTKEYID");
  chain.expired();
  const auto error = error_of([&] { id_of(chain); }, ErrorCode::access_denied);
  EXPECT_SAYS(error, "the environment");
  EXPECT_SAYS(error, "have expired");
  EXPECT_EQ(error.find("testsecret"), error.npos);
}

TEST(Credentials, AProcessIsRenewedWhileTheOldOnesServe) {
  Environment environment;
  environment.write(".aws/config",
                    "[default]\ncredential_process = " + counting(environment, "1 hour") + "\n");
  CredentialChain chain(read_settings({}));
  const Time start = now();
  EXPECT_EQ(id_of(chain, start + 54min), "run1");
  EXPECT_EQ(id_of(chain, start + 56min), "run1");  // begins the renewal
  for (int i = 0; i < 400 && id_of(chain, start + 56min) == "run1"; ++i) {
    std::this_thread::sleep_for(25ms);
  }
  EXPECT_EQ(id_of(chain, start + 56min), "run2");
  EXPECT_EQ(chain.get(start)->token, "t");
}

TEST(Credentials, AProcessRunsAgainAtOnceWhereItsKeysHaveEnded) {
  Environment environment;
  environment.write(".aws/config",
                    "[default]\ncredential_process = " + counting(environment, "2 seconds") + "\n");
  CredentialChain chain(read_settings({}));
  EXPECT_EQ(id_of(chain), "run1");
  std::this_thread::sleep_for(2100ms);
  EXPECT_EQ(id_of(chain), "run2");
}

TEST(Credentials, AProcessRunsAgainAfterTheStoreSaysExpired) {
  Environment environment;
  environment.write(".aws/config",
                    "[default]\ncredential_process = " + counting(environment, "1 hour") + "\n");
  CredentialChain chain(read_settings({}));
  const Time start = now();
  chain.expired();
  EXPECT_EQ(id_of(chain, start), "run2");
  // 128 requests in flight say it at once: one run is enough.
  for (int i = 0; i < 128; ++i) {
    chain.expired();
    EXPECT_EQ(id_of(chain, start + 5s), "run2");
  }
  chain.expired();
  EXPECT_EQ(id_of(chain, start + 11s), "run3");
}

TEST(Credentials, AProcessThatFailsLaterKeepsTheOldKeys) {
  Environment environment;
  environment.write(".aws/config",
                    "[default]\ncredential_process = " + counting(environment, "1 hour") + "\n");
  CredentialChain chain(read_settings({}));
  environment.write_script("process.sh", "echo hidden; echo hidden >&2; exit 3\n");
  chain.expired();
  EXPECT_EQ(id_of(chain), "run1");
  EXPECT_SAYS(chain.problem(), "ended with code 3");
  EXPECT_EQ(chain.problem().find("hidden"), std::string::npos);
}

TEST(Credentials, AChainEndsWhileItsProcessRuns) {
  Environment environment;
  environment.write(".aws/config",
                    "[default]\ncredential_process = " + counting(environment, "1 hour") + "\n");
  const auto before = std::chrono::steady_clock::now();
  {
    CredentialChain chain(read_settings({}));
    environment.write_script("process.sh", "exec sleep 50\n");
    EXPECT_EQ(id_of(chain, now() + 57min), "run1");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
}

TEST(Credentials, BadAnswersOfAProcess) {
  Environment environment;
  const auto says = [&](const std::string& script, const std::string& what) {
    environment.write(".aws/config", "[default]\ncredential_process = " +
                                         environment.write_script("p", script) + "\n");
    const auto error = error_of([] { first_id(); }, ErrorCode::access_denied);
    EXPECT_SAYS(error, "the credential_process of the profile 'default'");
    EXPECT_SAYS(error, what);
    EXPECT_EQ(error.find("hidden"), error.npos) << error;
  };
  const auto prints = [](const std::string& text) { return "printf '%s' '" + text + "'\n"; };
  says("echo hidden; echo hidden >&2; exit 7\n", "ended with code 7");
  says("exec 2>&1; no-such-hidden-command\n", "ended with code 127");
  says("yes hidden | head -c 100000\n", "wrote too much");
  says("", "no JSON object");
  says(prints("hidden"), "no JSON object");
  says(prints("[1]"), "no JSON object");
  says(prints("{}"), "Version 1");
  says(prints(R"({"Version": 2})"), "Version 1");
  says(prints(R"({"Version": 1, "AccessKeyId": "hidden"})"), "lacks");
  says(prints(R"({"Version": 1, "AccessKeyId": 5, "SecretAccessKey": "hidden"})"), "no string");
  says(prints(R"({"Version": 1, "AccessKeyId": "a b", "SecretAccessKey": "hidden"})"), "odd");
  says(prints(answer("id", "hidden")), "Expiration");
  says(prints(answer("id", "2020-01-01T00:00:00Z")), "have expired");
}

TEST(Process, HasNoInputAndIsKilledWithItsChildren) {
  const std::stop_source stop;
  const auto run = [&](const std::string& command, std::chrono::milliseconds limit) {
    return run_command(command, limit, 1000, stop.get_token());
  };
  EXPECT_EQ(run("cat; echo done", 20s).text, "done\n");
  EXPECT_EQ(run("cat; echo done", 20s).problem, "");
  EXPECT_EQ(run("echo x; kill -9 $$", 20s).problem, "was killed by signal 9");
  Environment environment;
  const auto before = std::chrono::steady_clock::now();
  // A child of the shell holds the pipe, and would for long.
  const auto output =
      run("sleep 300 & echo $! >" + environment.home() + "/child; echo x; wait", 300ms);
  EXPECT_EQ(output.problem, "took too long");
  EXPECT_EQ(output.text, "");
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
  pid_t child = 0;
  std::ifstream(environment.home() + "/child") >> child;
  ASSERT_GT(child, 0);
  // An orphan is gone once init has waited for it, or is a zombie where there is none that does.
  const auto gone = [&] {
    if (::kill(child, 0) != 0) return true;
    std::string stat;
    std::ifstream file("/proc/" + std::to_string(child) + "/stat");
    std::getline(file, stat);
    return stat.find(") Z ") != stat.npos;
  };
  for (int i = 0; i < 400 && !gone(); ++i) std::this_thread::sleep_for(25ms);
  EXPECT_TRUE(gone());
  EXPECT_EQ(run("exec >&-; sleep 300", 300ms).problem, "took too long");
}

TEST(Times, OfExpiration) {
  const Time noon = std::chrono::sys_days(std::chrono::year(2026) / 11 / 22) + 12h;
  for (const char* text :
       {"2026-11-22T12:00:00Z", "2026-11-22T12:00:00.123456789Z", "2026-11-22T13:00:00+01:00",
        "2026-11-22T10:30:00-0130", "2026-11-22t12:00:00z"}) {
    EXPECT_EQ(parse_time(text), noon) << text;
  }
  EXPECT_GT(parse_time("9999-12-31T23:59:59Z").value(), noon);
  for (const char* text :
       {"", "2026-11-22", "2026-11-22T12:00:00", "2026-02-30T12:00:00Z", "2026-13-01T12:00:00Z",
        "2026-11-22T24:00:00Z", "2026-11-22T12:60:00Z", "2026-11-22 12:00:00Z",
        "2026-11-22T12:00:00.Z", "2026-11-22T12:00:00+1", "2026-11-22T12:00:00+25:00",
        "2026-11-22T-1:00:00Z", "20261122T120000Z", "2026-11-22T12:00:00ZZ"}) {
    EXPECT_FALSE(parse_time(text)) << text;
  }
}

}  // namespace
}  // namespace faro::store::s3::testing
