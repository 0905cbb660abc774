#include "store/s3/credentials.hpp"

#include <algorithm>
#include <system_error>

#include "base/error.hpp"
#include "store/s3/encoding.hpp"
#include "store/s3/process.hpp"

namespace faro::store::s3 {
namespace {

using namespace std::chrono_literals;
constexpr auto process_limit = 60s;
constexpr std::size_t longest_answer = 64U << 10;
constexpr auto renewed_before = 5min;
constexpr auto file_quiet = 1s;
constexpr auto process_quiet = 10s;

void check_keys(const Keys& keys, const std::string& source) {
  check(!keys.id.empty() && !keys.secret.empty(), ErrorCode::invalid_argument,
        "{} has only one of the access key's id and its secret", source);
  check(is_clean(keys), ErrorCode::invalid_argument,
        "the keys of {} hold a blank or another odd character", source);
}

std::string value_of(const Properties& properties, std::string_view name) {
  const auto found = properties.find(name);
  return found == properties.end() ? "" : found->second;
}

Keys keys_of(const Properties& properties) {
  return {value_of(properties, "aws_access_key_id"), value_of(properties, "aws_secret_access_key"),
          value_of(properties, "aws_session_token")};
}

Credentials run_process(const std::string& command, const std::string& source,
                        const std::stop_token& stop) {
  const auto output = run_command(command, process_limit, longest_answer, stop);
  check(output.problem.empty(), ErrorCode::access_denied, "the credential_process of {} {}", source,
        output.problem);
  try {
    return parse_process_answer(output.text);
  } catch (const Error& error) {
    fail(ErrorCode::access_denied, "the credential_process of {}: {}", source, error.what());
  }
}

}  // namespace

bool is_clean(const Keys& keys) noexcept {
  const auto clean = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(),
                       [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  };
  return clean(keys.id) && clean(keys.secret) && clean(keys.token);
}

CredentialChain::CredentialChain(const Settings& settings) : settings_(settings) {
  if (settings_.anonymous) {
    source_ = "no one: requests are anonymous";
    return;
  }
  if (!settings_.profile_given && find_in_environment()) return;
  if (find_in_profile()) return;
  fail(ErrorCode::access_denied,
       "no credentials for s3://: neither AWS_ACCESS_KEY_ID nor the profile '{}' in {} or {} has "
       "any; a public bucket is read with anonymous = true",
       printable(settings_.profile, 80), settings_.credentials_file, settings_.config_file);
}

CredentialChain::~CredentialChain() {
  stop_.request_stop();  // the future waits for its thread
}

bool CredentialChain::find_in_environment() {
  Keys keys{variable("AWS_ACCESS_KEY_ID").value_or(""),
            variable("AWS_SECRET_ACCESS_KEY").value_or(""),
            variable("AWS_SESSION_TOKEN").value_or("")};
  if (keys.id.empty() && keys.secret.empty()) return false;
  source_ = "the environment (AWS_ACCESS_KEY_ID)";
  check_keys(keys, source_);
  kind_ = Kind::environment;
  current_.keys = std::move(keys);
  return true;
}

bool CredentialChain::find_in_profile() {
  const auto profile = profile_of(settings_);
  source_ = fmt::format("the profile '{}'", printable(settings_.profile, 80));
  // AWS's tools take a role before the profile's own keys, which often may do nothing else.
  for (const char* name : {"role_arn", "sso_session", "sso_start_url", "login_session"}) {
    check(value_of(profile, name).empty(), ErrorCode::invalid_argument,
          "{} uses {}, which faro does not speak; give a profile with credential_process = aws "
          "configure export-credentials --profile {} --format process",
          source_, name, printable(settings_.profile, 80));
  }
  Keys keys = keys_of(profile);
  if (!keys.id.empty() || !keys.secret.empty()) {
    check_keys(keys, source_);
    kind_ = Kind::file;
    set({std::move(keys), std::nullopt}, Time());
    return true;
  }
  command_ = value_of(profile, "credential_process");
  if (command_.empty()) return false;
  kind_ = Kind::process;
  set(run_process(command_, source_, stop_.get_token()), std::chrono::system_clock::now());
  return true;
}

void CredentialChain::set(Credentials credentials, Time now) {
  current_ = std::move(credentials);
  problem_.clear();
  renew_at_ = Time::max();
  if (!current_.expires) return;
  check(*current_.expires > now, ErrorCode::access_denied,
        "the credential_process of {} gives keys that have expired; or this machine's clock is "
        "wrong",
        source_);
  renew_at_ = std::max(*current_.expires - renewed_before, now + (*current_.expires - now) / 2);
}

void CredentialChain::renew_in_background(Time now) try {
  if (renewal_.valid() || now < renew_at_ || now < quiet_until_) return;
  quiet_until_ = now + process_quiet;
  renewal_ = std::async(std::launch::async,
                        [command = command_, source = source_, token = stop_.get_token()] {
                          return run_process(command, source, token);
                        });
} catch (const std::system_error& error) {
  problem_ = fmt::format("no thread to renew the keys in: {}", error.what());
}

void CredentialChain::take_renewed(Time now) try {
  set(renewal_.get(), now);
} catch (const Error& error) {
  problem_ = error.what();
}

void CredentialChain::read_again(Time now) {
  check(kind_ != Kind::environment, ErrorCode::access_denied,
        "the credentials of {} have expired; set new ones and start again, or give a profile, "
        "whose files or credential_process are read again",
        source_);
  expired_ = false;
  if (now < quiet_until_ && !renewal_.valid()) return;
  try {
    if (renewal_.valid()) {
      set(renewal_.get(), now);
    } else if (kind_ == Kind::process) {
      set(run_process(command_, source_, stop_.get_token()), now);
    } else {
      const bool found = find_in_profile();
      check(found, ErrorCode::access_denied, "{} has no keys any more", source_);
    }
  } catch (const Error& error) {
    problem_ = error.what();
  }
  quiet_until_ = now + (kind_ == Kind::process ? process_quiet : file_quiet);
}

const Keys* CredentialChain::get(Time now) {
  if (kind_ == Kind::anonymous) return nullptr;
  if (renewal_.valid() && renewal_.wait_for(0s) == std::future_status::ready) take_renewed(now);
  if (expired_ || (current_.expires && *current_.expires <= now)) read_again(now);
  if (kind_ == Kind::process) renew_in_background(now);
  return &current_.keys;
}

}  // namespace faro::store::s3
