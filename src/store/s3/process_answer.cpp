// What a credential process says.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "store/s3/credentials.hpp"

namespace faro::store::s3 {
namespace {

// Digits at a fixed place.
std::optional<int> number(std::string_view text, std::size_t at, std::size_t digits) {
  if (text.size() < at + digits || text[at] == '-') return std::nullopt;
  int value = 0;
  const char* begin = text.data() + at;
  const auto [end, error] = std::from_chars(begin, begin + digits, value);
  if (error != std::errc{} || end != begin + digits) return std::nullopt;
  return value;
}

// Of "Z", "+01:00" or "-0130".
std::optional<std::chrono::minutes> parse_offset(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const bool colon = text.size() == 6 && text[3] == ':';
  if (!colon && text.size() != 5) return std::nullopt;
  const auto hours = number(text, 1, 2);
  const auto minutes = number(text, colon ? 4 : 3, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  const std::chrono::minutes offset(*hours * 60 + *minutes);
  return text[0] == '-' ? -offset : offset;
}

std::string string_of(const nlohmann::json& answer, const char* name) {
  const auto found = answer.find(name);
  if (found == answer.end() || found->is_null()) return {};
  check(found->is_string(), ErrorCode::access_denied, "{} in its answer is no string", name);
  return found->get<std::string>();
}

}  // namespace

std::optional<Time> parse_time(std::string_view text) {
  const auto year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
  const auto hour = number(text, 11, 2), minute = number(text, 14, 2), second = number(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const bool formed = text[4] == '-' && text[7] == '-' && (text[10] == 'T' || text[10] == 't') &&
                      text[13] == ':' && text[16] == ':';
  // The clock's nanoseconds end in 2262; what is good that long is good for ever.
  const std::chrono::year_month_day date{std::chrono::year(std::clamp(*year, 1970, 2200)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!formed || !date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  text.remove_prefix(19);
  if (text.starts_with('.')) {
    const auto end = text.find_first_not_of("0123456789", 1);
    if (end == text.npos || end == 1) return std::nullopt;
    text.remove_prefix(end);
  }
  const auto offset = parse_offset(text);
  if (!offset) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) - *offset;
}

Credentials parse_process_answer(const std::string& json) {
  const auto answer = nlohmann::json::parse(json, nullptr, false);
  check(answer.is_object(), ErrorCode::access_denied, "its answer is no JSON object");
  const auto version = answer.find("Version");
  check(version != answer.end() && version->is_number_integer() && *version == 1,
        ErrorCode::access_denied, "its answer is not of Version 1");
  Credentials out{{string_of(answer, "AccessKeyId"), string_of(answer, "SecretAccessKey"),
                   string_of(answer, "SessionToken")},
                  std::nullopt};
  check(!out.keys.id.empty() && !out.keys.secret.empty(), ErrorCode::access_denied,
        "its answer lacks AccessKeyId or SecretAccessKey");
  check(is_clean(out.keys), ErrorCode::access_denied,
        "the keys in its answer hold a blank or another odd character");
  const std::string expiration = string_of(answer, "Expiration");
  if (expiration.empty()) return out;
  out.expires = parse_time(expiration);
  check(out.expires.has_value(), ErrorCode::access_denied,
        "Expiration in its answer is no time such as 2026-01-31T12:00:00Z");
  return out;
}

}  // namespace faro::store::s3
