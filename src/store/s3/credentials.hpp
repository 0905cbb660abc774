// Internal to store/: where keys come from, and that they are good while they are used.
#pragma once

#include <future>
#include <optional>
#include <stop_token>
#include <string>

#include "store/s3/settings.hpp"
#include "store/s3/sigv4.hpp"

namespace faro::store::s3 {

/// Keys, and until when they are good.
struct Credentials {
  Keys keys;
  std::optional<Time> expires;
};

/// Whether they can go into a header, where a line end would begin another one.
[[nodiscard]] bool is_clean(const Keys& keys) noexcept;

/// The answer of a credential process. Error(access_denied) where it is no such answer; it says
/// what is missing, never what is there.
/// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
[[nodiscard]] Credentials parse_process_answer(const std::string& json);

/// "2026-11-22T20:13:07Z", also with a fraction of a second or an offset; nothing for other texts.
[[nodiscard]] std::optional<Time> parse_time(std::string_view text);

/// The keys of a client. They are the first found of: the environment's (unless the options name a
/// profile), those of the profile in the credentials file, of its credential_process, of the config
/// file. One thread uses it.
class CredentialChain {
 public:
  /// Error(access_denied): none found; invalid_argument: half a pair, or a kind that is not spoken.
  explicit CredentialChain(const Settings& settings);
  ~CredentialChain();
  CredentialChain(const CredentialChain&) = delete;
  CredentialChain& operator=(const CredentialChain&) = delete;

  /// The keys to sign with now; nothing where requests are anonymous. Those of a process are made
  /// anew 5 minutes before their end (but not in the first half of their life), in a thread of its
  /// own. Blocks only where they have ended already.
  /// Error(access_denied): the store calls those of the environment expired.
  [[nodiscard]] const Keys* get(Time now);

  /// The store calls them expired: the files are read, or the process is run, again by the next
  /// get(); a file at most once in a second, a process once in 10 s, as many requests say so at
  /// once. What was good before is kept where that fails: a file may be in the middle of a change.
  void expired() noexcept { expired_ = true; }

  /// The keys that get() gave last.
  [[nodiscard]] const Keys& last() const noexcept { return current_.keys; }
  /// "the environment", "the profile 'x' in FILE": for messages.
  [[nodiscard]] const std::string& source() const noexcept { return source_; }
  /// Why the last renewal failed; empty where it did not. One line without secrets.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  enum class Kind { anonymous, environment, file, process };
  bool find_in_environment();
  bool find_in_profile();
  void read_again(Time now);
  void renew_in_background(Time now);
  void take_renewed(Time now);
  void set(Credentials credentials, Time now);

  Settings settings_;
  Kind kind_ = Kind::anonymous;
  std::string source_;
  std::string command_;  // of a process
  Credentials current_;
  Time renew_at_ = Time::max();
  Time quiet_until_ = Time::min();  // nothing is read again before that
  bool expired_ = false;
  std::string problem_;
  std::stop_source stop_;
  std::future<Credentials> renewal_;
};

}  // namespace faro::store::s3
