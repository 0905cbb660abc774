// Any bytes as an S3 store's answer, and as a shared file of AWS's tools. The first byte says
// which.
#include <string>

#include "fuzz.hpp"
#include "store/s3/address.hpp"
#include "store/s3/credentials.hpp"
#include "store/s3/encoding.hpp"
#include "store/s3/xml.hpp"

using namespace faro;
using namespace faro::store::s3;

namespace {

void check_xml(std::string_view xml) {
  static_cast<void>(succeeds(
      [&] {
        const auto page = parse_listing(xml);
        for (const auto& object : page.objects) require(!object.key.empty(), "an object has a key");
        for (const auto& prefix : page.prefixes) require(!prefix.empty(), "a prefix is not empty");
      },
      ErrorCode::format));
  static_cast<void>(succeeds([&] { require(!parse_upload_id(xml).empty(), "an upload has an id"); },
                             ErrorCode::format));
  const auto error = parse_error(xml);
  require(printable(error.message, 200).find('\n') == std::string::npos, "a message is one line");
  require(error.code.empty() || !is_completed(xml), "an error completes nothing");
}

void check_profiles(std::string_view text) {
  for (const auto kind : {ProfileKind::config, ProfileKind::credentials}) {
    try {
      const auto file = parse_profiles(text, "FILE", kind);
      require(kind == ProfileKind::config || file.services.empty(), "keys have no services");
      for (const auto& [name, properties] : file.profiles) {
        require(!properties.contains(""), "a setting has a name");
      }
    } catch (const Error& error) {
      const std::string_view what(error.what());
      require(error.code() == ErrorCode::invalid_argument && what.starts_with("FILE:") &&
                  what.size() < 80,
              "an error names the line, and no value");
    }
  }
}

void check_redirects(std::string_view text) {
  const auto url = parse_url(text);
  if (!url) return;
  const auto again =
      parse_url(url->origin() + url->path + (url->query.empty() ? "" : "?" + url->query));
  require(again && again->host == url->host && again->port == url->port &&
              again->secure == url->secure && again->path == url->path &&
              again->query == url->query,
          "a URL's parts are its own");
  for (const char c : url->host) {
    require(c > ' ' && c != '/' && c != '@' && c != '?' && c != '#', "a host is a host");
  }
  if (const auto query = parse_query(url->query)) {
    require(parse_query(canonical_query(*query)).value().size() == query->size(),
            "an encoded query is read as it was");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'p': check_profiles(text); break;
    case 'u': check_redirects(text); break;
    case 'j':
      static_cast<void>(succeeds(
          [&] {
            const auto answer = parse_process_answer(std::string(text));
            require(!answer.keys.id.empty() && is_clean(answer.keys), "keys go into a header");
          },
          ErrorCode::access_denied));
      break;
    default: check_xml(text); break;
  }
  require(percent_decoded(percent_encoded(text)) == text, "what is encoded can be decoded");
  return 0;
}
