#include "store/s3_list.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <functional>

#include "base/error.hpp"
#include "store/braces.hpp"
#include "store/s3/xml.hpp"
#include "store/upload.hpp"

namespace faro::store {
namespace {

constexpr std::string_view wildcards = "*?[";
constexpr unsigned most_vain_pages = 1000;       // AWS has some where many objects were deleted
constexpr std::size_t most_shards = 10'000'000;  // as many as a brace pattern may name

/// "s3://bucket/a/b" in two.
struct Place {
  std::string bucket;  // "s3://bucket"
  std::string key;     // "a/b"

  explicit Place(const std::string& uri) {
    const auto slash = uri.find('/', std::string_view("s3://").size());
    bucket = uri.substr(0, slash);
    if (slash != uri.npos) key = uri.substr(slash + 1);
  }
  [[nodiscard]] std::string uri(const std::string& name) const { return bucket + "/" + name; }
};

class Lister {
 public:
  explicit Lister(const Options& options) : client_(options) {}

  /// All keys that begin with `prefix` and have no '/' after it (`flat`), or all at any depth.
  std::vector<std::string> keys(const Place& place, const std::string& prefix, bool flat) {
    std::vector<std::string> out;
    std::string token;
    std::size_t listed = 0;
    unsigned vain_pages = 0;
    do {
      auto listing = page(place, prefix, flat, 1000, token);
      const auto names = listing.objects.size() + listing.prefixes.size();
      listed += names;
      vain_pages = names == 0 ? vain_pages + 1 : 0;
      check(vain_pages < most_vain_pages, ErrorCode::network,
            "{}: the store's listing comes to no end ({} pages in a row have no key)",
            redacted(place.uri(prefix)), vain_pages);
      for (auto& object : listing.objects) {
        check(object.key.starts_with(prefix), ErrorCode::network,
              "{}: the store lists {}, too, which is not under it", redacted(place.uri(prefix)),
              redacted(place.uri(object.key)));
        // Not every store knows of delimiters.
        if (flat && object.key.find('/', prefix.size()) != object.key.npos) continue;
        out.push_back(std::move(object.key));
      }
      check(listed <= most_shards, ErrorCode::invalid_argument,
            "{} has more than {} objects: name fewer", redacted(place.uri(prefix)), most_shards);
      check(listing.next.empty() || listing.next != token, ErrorCode::network,
            "{}: the store's listing comes to no end (its continuation token repeats)",
            redacted(place.uri(prefix)));
      token = std::move(listing.next);
    } while (!token.empty());
    std::sort(out.begin(), out.end());
    const auto twice = std::adjacent_find(out.begin(), out.end());
    check(twice == out.end(), ErrorCode::network, "{}: the store lists it twice",
          twice == out.end() ? "" : redacted(place.uri(*twice)));
    return out;
  }

  /// Whether there is a key that begins with `prefix`; `exact`: whether it is one.
  bool any(const Place& place, const std::string& prefix, bool exact) {
    // The exact key sorts before all that it begins.
    const auto listing = page(place, prefix, false, 1, "");
    return !listing.objects.empty() && (!exact || listing.objects.front().key == prefix);
  }

 private:
  s3::Listing page(const Place& place, const std::string& prefix, bool flat, unsigned keys,
                   const std::string& token) {
    Call call;
    call.uri = place.bucket;
    call.query = {{"list-type", "2"}, {"encoding-type", "url"}, {"prefix", prefix}};
    call.query.emplace_back("max-keys", std::to_string(keys));
    if (flat) call.query.emplace_back("delimiter", "/");
    if (!token.empty()) call.query.emplace_back("continuation-token", token);
    client_.call(0, std::move(call));
    std::vector<Completion> done;
    while (done.empty()) client_.poll(done, std::chrono::seconds(1));
    if (done.front().error) throw *done.front().error;
    try {
      auto listing = s3::parse_listing(done.front().text);
      if (keys == 1) listing.next.clear();
      return listing;
    } catch (const Error& error) {
      fail(error.code(), "listing {}: {}", redacted(place.uri(prefix)), error.what());
    }
  }

  Client client_;
};

bool is_hidden(const std::string& key) {
  return key.substr(key.rfind('/') + 1).starts_with('.');
}

void list_directory(Lister& lister, const Place& place, std::string prefix,
                    const std::string& suffix, std::vector<std::string>& shards) {
  if (!prefix.empty() && !prefix.ends_with('/')) prefix += '/';
  const auto before = shards.size();
  for (const auto& key : lister.keys(place, prefix, true)) {
    // Some tools make an empty object for the directory itself.
    if (!key.ends_with('/') && !is_hidden(key) && key.ends_with(suffix)) {
      shards.push_back(place.uri(key));
    }
  }
  check(shards.size() > before, ErrorCode::not_found, "{} has no objects{}",
        redacted(place.uri(prefix)), suffix.empty() ? "" : fmt::format(" that end in {}", suffix));
}

void list_glob(Lister& lister, const Place& place, std::vector<std::string>& shards) {
  const auto wild = place.key.find_first_of(wildcards);
  const bool flat = place.key.find('/', wild) == place.key.npos;
  const auto before = shards.size();
  for (const auto& key : lister.keys(place, place.key.substr(0, wild), flat)) {
    if (fnmatch(place.key.c_str(), key.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) {
      shards.push_back(place.uri(key));
    }
  }
  check(shards.size() > before, ErrorCode::not_found, "{} matches no object",
        redacted(place.uri(place.key)));
}

/// A name without braces.
void expand_one(Lister& lister, const Place& place, const std::string& suffix,
                std::vector<std::string>& shards) {
  if (place.key.empty() || place.key.ends_with('/')) {
    list_directory(lister, place, place.key, suffix, shards);
  } else if (lister.any(place, place.key, true)) {
    shards.push_back(place.uri(place.key));
  } else if (place.key.find_first_of(wildcards) != place.key.npos) {
    list_glob(lister, place, shards);
  } else {
    check(lister.any(place, place.key + "/", false), ErrorCode::not_found,
          "{}: no such object, and none under it", redacted(place.uri(place.key)));
    list_directory(lister, place, place.key, suffix, shards);
  }
}

}  // namespace

std::vector<std::string> list_objects(const std::string& prefix, const Options& options) {
  const Place place(prefix);
  std::vector<std::string> uris;
  for (const auto& key : Lister(options).keys(place, place.key, true)) {
    uris.push_back(place.uri(key));
  }
  return uris;
}

std::vector<std::string> expand_s3(const std::string& data, const std::string& suffix,
                                   const Options& options) {
  const auto names = expand_braces(data);
  const bool listed = names.size() == 1 || data.find_first_of(wildcards) != data.npos ||
                      names.front().ends_with('/');
  // A pattern may name millions of shards; one that is missing shows when its size is asked for.
  if (!listed) return names;
  std::vector<std::string> shards;
  Lister lister(options);
  for (const auto& name : names) expand_one(lister, Place(name), suffix, shards);
  return shards;
}

}  // namespace faro::store
