// WebDataset's rules: consecutive files whose path agrees up to the first dot of the base name are
// one sample; the rest of the name, lower-cased, is the field.
#include <functional>
#include <optional>
#include <unordered_set>

#include "base/error.hpp"
#include "format/formats.hpp"
#include "format/memory_source.hpp"
#include "format/tar_walker.hpp"

namespace faro::format {
namespace {

struct Name {
  std::string_view key;
  std::string_view field;  // as stored
};

/// Nothing for base names without a dot or with one in front: WebDataset passes those over.
std::optional<Name> split_path(std::string_view path) {
  const auto slash = path.rfind('/');
  const auto base = slash == std::string_view::npos ? 0 : slash + 1;
  const auto dot = path.find('.', base);
  if (dot == std::string_view::npos || dot == base) return std::nullopt;
  return Name{path.substr(0, dot), path.substr(dot + 1)};
}

/// ASCII only: other letters stay as they are, whatever the locale.
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool has_upper(std::string_view text) {
  for (const char c : text) {
    if (lower(c) != c) return true;
  }
  return false;
}

std::string lowered(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = lower(c);
  return result;
}

/// The field names of one sample: a list that is walked while they are few, as they nearly always
/// are, and a hash set beyond. Reused from sample to sample without allocating.
class FieldNames {
 public:
  void clear() {
    used_ = 0;
    many_.clear();
  }
  /// False where the sample has that field already.
  bool insert(std::string_view name) {
    if (used_ == names_.size() && used_ < few) names_.emplace_back();
    if (used_ == few) {
      if (many_.empty()) many_.insert(names_.begin(), names_.end());
      return many_.insert(lowered(name)).second;
    }
    std::string& mine = names_[used_];
    mine.assign(name);
    for (char& c : mine) c = lower(c);
    for (std::size_t i = 0; i < used_; ++i) {
      if (names_[i] == mine) return false;
    }
    ++used_;
    return true;
  }

 private:
  static constexpr std::size_t few = 16;
  std::vector<std::string> names_;
  std::size_t used_ = 0;
  std::unordered_set<std::string> many_;
};

class Tar final : public Format {
 public:
  [[nodiscard]] std::string_view name() const override { return "tar"; }

  void scan(Source& source, Ends ends, SampleSink& sink) const override {
    tar::Walker walker(source, ends.finish ? tar::Finish::marker : tar::Finish::at_bytes);
    tar::Member member;
    std::string key;
    FieldNames names;
    bool any = false;
    while (walker.next(member)) {
      const auto name = member.regular ? split_path(member.path) : std::nullopt;
      if (name) {
        const bool starts = !any || name->key != key;
        if (starts) {
          key.assign(name->key);
          names.clear();
        }
        if (!names.insert(name->field)) {
          walker.damaged(member.begin, fmt::format("sample '{}' has the field '{}' twice", key,
                                                   lowered(name->field)));
        }
        // The sink may read on: what the name views is gone after this.
        if (starts) sink.sample(any ? member.begin : 0);
        any = true;
      }
      if (any) sink.reached(member.end);
    }
  }

  // The bytes have been through scan(), which has refused fields that come twice.
  void fields(std::span<const std::byte> bytes, std::uint64_t /*number*/, bool /*starts_shard*/,
              ParsedSample& out) const override {
    out.clear();
    MemorySource source(bytes);
    tar::Walker walker(source, tar::Finish::either);
    tar::Member member;
    // What the header itself holds is stable; long names live in the walker for one member only.
    const auto stable = [&](std::string_view text) {
      const auto* begin = reinterpret_cast<const char*>(bytes.data());
      const std::less<const char*> before;
      const bool inside = !before(text.data(), begin) && before(text.data(), begin + bytes.size());
      return inside ? text : out.keep(std::string(text));
    };
    while (walker.next(member)) {
      const auto name = member.regular ? split_path(member.path) : std::nullopt;
      if (!name) continue;
      if (out.fields.empty()) {
        out.key = stable(name->key);
      } else if (name->key != out.key) {
        walker.damaged(member.begin,
                       fmt::format("'{}' within the sample '{}'", name->key, out.key));
      }
      const auto field =
          has_upper(name->field) ? out.keep(lowered(name->field)) : stable(name->field);
      out.fields.push_back({field, bytes.subspan(member.data, member.size)});
    }
    check(!out.fields.empty(), ErrorCode::format,
          "tar: no member with a field in a sample's bytes");
  }
};

}  // namespace

std::shared_ptr<const Format> make_tar() {
  return std::make_shared<Tar>();
}

}  // namespace faro::format
