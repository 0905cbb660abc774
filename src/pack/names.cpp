#include "pack/names.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "base/error.hpp"
#include "store/store.hpp"
#include "store/uri.hpp"

namespace faro::pack {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// "a-{000..127}.tar", where the sorted names are just that.
std::optional<std::string> pattern_of(const std::vector<std::string>& names) {
  const auto& first = names.front();
  const auto& last = names.back();
  if (first.size() != last.size()) return std::nullopt;
  // What all have in front and behind, but for digits: those are the number's.
  const auto ahead = std::mismatch(first.begin(), first.end(), last.begin()).first - first.begin();
  const auto behind =
      std::mismatch(first.rbegin(), first.rend(), last.rbegin()).first - first.rbegin();
  auto begin = static_cast<std::size_t>(ahead);
  auto end = first.size() - static_cast<std::size_t>(behind);
  while (begin > 0 && is_digit(first[begin - 1])) --begin;
  while (end < first.size() && is_digit(first[end])) ++end;
  if (begin >= end) return std::nullopt;
  const auto width = end - begin;
  std::uint64_t low = 0;
  const auto [stop, error] = std::from_chars(&first[begin], first.data() + end, low);
  if (error != std::errc{} || stop != first.data() + end) return std::nullopt;
  const auto head = first.substr(0, begin);
  const auto tail = first.substr(end);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != fmt::format("{}{:0{}}{}", head, low + i, width, tail)) return std::nullopt;
  }
  return fmt::format("{}{{{}..{}}}{}", head, first.substr(begin, width), last.substr(begin, width),
                     tail);
}

}  // namespace

std::string base_name(const std::string& uri) {
  auto path = uri;
  if (store::scheme_of(uri) == store::Scheme::http) path = uri.substr(0, uri.find_first_of("?#"));
  auto name = path.substr(path.rfind('/') + 1);
  check(!name.empty(), ErrorCode::invalid_argument, "{} has no name to copy it to",
        store::redacted(uri));
  return name;
}

std::string data_of(std::vector<std::string> uris) {
  std::sort(uris.begin(), uris.end());
  if (uris.size() == 1) return uris.front();
  if (auto pattern = pattern_of(uris)) return *pattern;
  return uris.front().substr(0, uris.front().rfind('/') + 1);
}

}  // namespace faro::pack
