#include "store/s3/xml.hpp"

#include <charconv>
#include <cstring>
#include <pugixml.hpp>

#include "base/error.hpp"
#include "store/s3/encoding.hpp"

namespace faro::store::s3 {
namespace {

// A page has 1000 keys of 1 KiB, three times as long when encoded. pugixml takes up to 20 bytes for
// one of the text; it neither expands entities nor recurses, so depth is no matter.
constexpr std::size_t longest_text = 8U << 20;
// A blank alone may be a key.
constexpr unsigned how = pugi::parse_default | pugi::parse_ws_pcdata_single;

[[noreturn]] void refuse(const char* what) {
  fail(ErrorCode::format, "the store's answer {}", what);
}

// pugixml's strings end at a zero, and its references to characters wrap around.
void check_characters(std::string_view xml) {
  if (xml.find('\0') != xml.npos) refuse("has a zero byte in its XML");
  for (auto at = xml.find("&#"); at != xml.npos; at = xml.find("&#", at)) {
    at += 2;
    const bool hex = at < xml.size() && xml[at] == 'x';
    if (hex) ++at;
    std::uint32_t character = 0;
    const char* end = xml.data() + xml.size();
    const auto [stop, error] = std::from_chars(xml.data() + at, end, character, hex ? 16 : 10);
    if (error == std::errc::result_out_of_range || (error == std::errc{} && character == 0)) {
      refuse("names an impossible character in its XML");
    }
  }
}

pugi::xml_node parse(pugi::xml_document& document, std::string_view xml, const char* root) {
  if (xml.size() > longest_text) refuse("is longer than 8 MiB of XML");
  check_characters(xml);
  if (!document.load_buffer(xml.data(), xml.size(), how, pugi::encoding_utf8)) {
    refuse("is no well-formed XML");
  }
  const auto node = document.child(root);
  if (!node) fail(ErrorCode::format, "the store's answer is no {}", root);
  return node;
}

std::uint64_t parse_size(std::string_view text) {
  text = trimmed(text);
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc{} || end != text.data() + text.size()) {
    refuse("has an object whose size is no number");
  }
  return size;
}

std::string decoded(const char* text, bool encoded) {
  if (!encoded) return text;
  auto out = percent_decoded(text, true);
  if (!out) refuse("has a name that is not well encoded");
  return std::move(*out);
}

}  // namespace

ErrorAnswer parse_error(std::string_view xml) {
  ErrorAnswer out;
  xml = xml.substr(0, xml.find('\0'));
  if (xml.empty() || xml.size() > longest_text) return out;
  // Its end may be cut off: what was read so far is there all the same.
  pugi::xml_document document;
  static_cast<void>(document.load_buffer(xml.data(), xml.size(), how, pugi::encoding_utf8));
  const auto error = document.child("Error");
  out.code = trimmed(error.child_value("Code"));
  out.message = trimmed(error.child_value("Message"));
  out.region = trimmed(error.child_value("Region"));
  out.server_time = trimmed(error.child_value("ServerTime"));
  return out;
}

Listing parse_listing(std::string_view xml) {
  pugi::xml_document document;
  const auto root = parse(document, xml, "ListBucketResult");
  const bool encoded = std::strcmp(root.child_value("EncodingType"), "url") == 0;
  Listing out;
  for (const auto node : root.children("Contents")) {
    auto key = decoded(node.child_value("Key"), encoded);
    if (key.empty()) refuse("has an object without a key");
    out.objects.push_back(
        {std::move(key), parse_size(node.child_value("Size")), node.child_value("ETag")});
  }
  for (const auto node : root.children("CommonPrefixes")) {
    auto prefix = decoded(node.child_value("Prefix"), encoded);
    if (prefix.empty()) refuse("has an empty prefix");
    out.prefixes.push_back(std::move(prefix));
  }
  if (trimmed(root.child_value("IsTruncated")) != "true") return out;
  out.next = root.child_value("NextContinuationToken");
  if (out.next.empty()) refuse("is a page of a list that goes on, but has no token to go on with");
  return out;
}

std::string parse_upload_id(std::string_view xml) {
  pugi::xml_document document;
  const auto root = parse(document, xml, "InitiateMultipartUploadResult");
  std::string id(trimmed(root.child_value("UploadId")));
  if (id.empty()) refuse("has no UploadId");
  return id;
}

bool is_completed(std::string_view xml) {
  if (xml.size() > longest_text) return false;
  pugi::xml_document document;
  return document.load_buffer(xml.data(), xml.size(), how, pugi::encoding_utf8) &&
         document.child("CompleteMultipartUploadResult");
}

std::string completion(const std::vector<std::string>& etags) {
  std::string out = R"(<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">)";
  for (std::size_t i = 0; i < etags.size(); ++i) {
    out += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>", i + 1);
    for (const char c : etags[i]) {
      switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        default: out += c;
      }
    }
    out += "</ETag></Part>";
  }
  return out + "</CompleteMultipartUpload>";
}

}  // namespace faro::store::s3
