#include "store/s3/s3.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "store/s3/address.hpp"
#include "store/s3/credentials.hpp"
#include "store/s3/encoding.hpp"
#include "store/s3/meaning.hpp"
#include "store/s3/xml.hpp"

namespace faro::store::s3 {
namespace {

Time now() {
  return std::chrono::system_clock::now();
}

bool is_credential(std::string_view name) {
  const auto small = lower(name);
  return small == "authorization" || small == "cookie" || small == "x-amz-security-token" ||
         small.starts_with("x-amz-server-side-encryption-customer") ||
         small.starts_with("x-amz-copy-source-server-side-encryption-customer");
}

// The region that a bucket is said to be in; empty where the answer does not say so.
std::string region_in(const Refusal& refusal, const ErrorAnswer& error) {
  std::string out(trimmed(refusal.bucket_region));
  if (out.empty()) out = error.region;
  return is_region(out) ? out : "";
}

// Whether an answer is about the region, and nothing else. A HEAD's 400 does not say why.
bool asks_for_region(const Refusal& refusal, const ErrorAnswer& error) {
  return refusal.status == 301 ||
         (refusal.status == 400 &&
          (error.code.empty() || error.code == "AuthorizationHeaderMalformed" ||
           error.code == "IllegalLocationConstraintException"));
}

bool has_location(const Refusal& refusal) {
  return !refusal.location.empty() && (refusal.status == 301 || refusal.status == 302 ||
                                       refusal.status == 307 || refusal.status == 308);
}

// Location is a URL, or a path on the host that gave it.
std::optional<Url> resolve(const Url& base, std::string_view location) {
  if (location.starts_with("//")) {
    return parse_url((base.secure ? "https:" : "http:") + std::string(location));
  }
  if (location.starts_with('/')) return parse_url(base.origin() + std::string(location));
  return parse_url(location);
}

}  // namespace

struct S3::Impl {
  explicit Impl(const Options& options) : settings(read_settings(options.s3)), chain(settings) {}

  Settings settings;
  CredentialChain chain;
  Signer signer;
  std::map<std::string, std::string> regions;  // of buckets that are not in the settings' region

  [[nodiscard]] const std::string& region_of(const Name& name) const {
    const auto found = regions.find(name.bucket);
    return found == regions.end() ? settings.region : found->second;
  }

  [[nodiscard]] Address address(const Name& name, const Question& question) const {
    auto out = address_of(settings, name, region_of(name));
    out.query = question.query;
    return out;
  }

  Target sign(const Question& question, const Address& address, const std::string& region) {
    Target out{address.url(), question.headers};
    const Time time = now();
    const Keys* keys = chain.get(time);
    if (keys == nullptr) return out;
    const auto payload_hash = sha256_hex(question.body);
    out.headers.emplace_back("Host", address.server.authority());
    out.headers.emplace_back("x-amz-content-sha256", payload_hash);
    out.headers.emplace_back("x-amz-date", amz_date(time));
    if (!keys->token.empty()) out.headers.emplace_back("x-amz-security-token", keys->token);
    const Signable what{question.method, address.path, address.query, out.headers, payload_hash};
    out.headers.emplace_back("Authorization",
                             signer.authorization(what, *keys, {region, "s3", time}));
    return out;
  }

  // Nothing where the region was asked for already: it is no help.
  std::optional<Target> in_region(const Question& question, const Name& name,
                                  const std::string& region) {
    if (region == region_of(name) && region == settings.region) return std::nullopt;
    regions[name.bucket] = region;
    return sign(question, address(name, question), region);
  }

  std::optional<Target> at_location(const Question& question, const Name& name,
                                    const Refusal& refusal) {
    const Url first = address_of(settings, name, region_of(name)).server;
    const auto base = refusal.url.empty() ? std::optional(first) : parse_url(refusal.url);
    const auto next = base ? resolve(*base, refusal.location) : std::nullopt;
    if (!next || (!next->secure && (first.secure || base->secure))) return std::nullopt;
    const auto path = percent_decoded(next->path.empty() ? "/" : next->path);
    auto query = parse_query(next->query);
    const bool presigned = next->query.find("X-Amz-Signature=") != std::string::npos;
    if (path && query && !presigned && is_own(settings, name, *base) &&
        is_own(settings, name, *next)) {
      const auto region = settings.endpoint ? std::nullopt : aws_region(next->host, name.bucket);
      return sign(question, {*next, *path, std::move(*query)}, region.value_or(region_of(name)));
    }
    Target out{next->origin() + next->path, question.headers};
    if (!next->query.empty()) out.url += "?" + next->query;
    std::erase_if(out.headers, [](const auto& header) { return is_credential(header.first); });
    return out;
  }

  // A store's own words, but for what is ours to keep: some echo what they were sent.
  [[nodiscard]] std::string quoted(std::string text) {
    const auto hide = [&](const std::string& secret, const std::string& instead) {
      if (secret.size() < 4) return;
      for (auto at = text.find(secret); at != text.npos; at = text.find(secret, at)) {
        text.replace(at, secret.size(), instead);
        at += instead.size();
      }
    };
    const Keys& keys = chain.last();
    hide(keys.secret, "***");
    hide(keys.token, "***");
    hide(keys.id, keys.id.substr(0, 4) + "***");
    return printable(text, 200);
  }

  [[nodiscard]] std::string advice(const Question& question, const Name& name,
                                   const Refusal& refusal, const ErrorAnswer& error, Cause cause);
};

// What to do, where there is something to do.
std::string S3::Impl::advice(const Question& question, const Name& name, const Refusal& refusal,
                             const ErrorAnswer& error, Cause cause) {
  const std::string& code = error.code;
  const std::string host = address(name, question).server.authority();
  const auto region = region_in(refusal, error);
  if (code == "NoSuchBucket") {
    return fmt::format("there is no bucket '{}' at {}", name.bucket, host);
  }
  if (code == "RequestTimeTooSkewed") {
    const auto theirs = error.server_time.empty() ? refusal.date : error.server_time;
    return fmt::format("the store's clock says {}, this machine's {:%Y-%m-%dT%H:%M:%SZ}: set it",
                       theirs.empty() ? "another time" : printable(theirs, 40),
                       fmt::gmtime(std::chrono::system_clock::to_time_t(now())));
  }
  if (code == "InvalidAccessKeyId") {
    return fmt::format("{} does not know the access key of {}", host, chain.source());
  }
  if (code == "SignatureDoesNotMatch") {
    return fmt::format("the secret of {} is not that of its access key", chain.source());
  }
  if (code == "InvalidObjectState") return "the object is archived: restore it first";
  if (refusal.status == 301 || code == "AuthorizationHeaderMalformed" ||
      code == "PermanentRedirect" || code == "IllegalLocationConstraintException") {
    if (!region.empty()) {
      return fmt::format(
          "the bucket '{}' is in region {}: give region = {}, and the endpoint_url "
          "of that region if you give one",
          name.bucket, region, region);
    }
    return fmt::format(
        "the bucket '{}' is not at {} in region {}: give another endpoint_url or "
        "region",
        name.bucket, host, region_of(name));
  }
  if (refusal.status >= 300 && refusal.status < 400) {
    return "the store redirects to where faro does not go: nowhere, in circles, or from https:// "
           "to http://";
  }
  switch (cause) {
    case Cause::access_denied:
      if (settings.anonymous) {
        return fmt::format("requests are anonymous, and the bucket '{}' is not open to all",
                           name.bucket);
      }
      return fmt::format(
          "the credentials are those of {}; they may not do this with the bucket "
          "'{}'",
          chain.source(), name.bucket);
    case Cause::expired:
      return fmt::format(
          "the credentials of {} have expired{}{}", chain.source(),
          chain.problem().empty() ? "" : ", and were not renewed: ", chain.problem());
    case Cause::not_found: return "no such object";
    case Cause::changed:
      return refusal.status == 416 || code == "InvalidRange"
                 ? "the object ends before this range"
                 : "the object was replaced; index it again";
    case Cause::throttled: return "the store asks for fewer requests";
    default: return "";
  }
}

S3::S3(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
S3::~S3() = default;

Target S3::target(const Question& question) {
  const Name name = parse_uri(question.uri);
  return impl_->sign(question, impl_->address(name, question), impl_->region_of(name));
}

std::optional<Target> S3::redirected(const Question& question, const Refusal& refusal) {
  if (refusal.status != 400 && (refusal.status < 300 || refusal.status >= 400)) {
    return std::nullopt;
  }
  const Name name = parse_uri(question.uri);
  const auto error = parse_error(refusal.body);
  const auto answered = parse_url(refusal.url);
  if (refusal.url.empty() || (answered && is_own(impl_->settings, name, *answered))) {
    const auto region = region_in(refusal, error);
    // AWS's own hosts are found by their region; another store's 307 leads where it says.
    const bool by_region =
        asks_for_region(refusal, error) || (refusal.status == 307 && !impl_->settings.endpoint);
    if (by_region && !region.empty()) {
      if (auto target = impl_->in_region(question, name, region)) return target;
    }
  }
  if (!has_location(refusal)) return std::nullopt;
  return impl_->at_location(question, name, refusal);
}

Failure S3::explain(const Question& question, const Refusal& refusal) {
  const Name name = parse_uri(question.uri);
  const auto error = parse_error(refusal.body);
  Failure out{cause_of(error.code, refusal.status), fmt::format("HTTP {}", refusal.status)};
  if (out.cause == Cause::expired) impl_->chain.expired();
  if (!error.code.empty()) out.text += " " + impl_->quoted(error.code);
  if (!error.message.empty()) out.text += " (" + impl_->quoted(error.message) + ")";
  const auto advice = impl_->advice(question, name, refusal, error, out.cause);
  if (!advice.empty()) out.text += ": " + advice;
  return out;
}

const std::string& S3::ca_bundle() const noexcept {
  return impl_->settings.ca_bundle;
}

}  // namespace faro::store::s3
