// WebDataset's rules: consecutive files whose path agrees up to the first dot of the base name are
// one sample; the rest of the name, lower-cased, is the field.
#include <array>
#include <bit>
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

/// An outline's words: of a sample of one or two named members whose paths stand in their headers.
/// Members that are passed over are gaps.
struct Plain {
  static constexpr std::size_t most = 2;
  std::uint8_t fields = 0;
  std::uint8_t key = 0;                     // its length; it begins the first header
  std::array<std::uint8_t, most> name{};    // lengths; each stands behind key and dot
  std::array<std::uint16_t, most> gap{};    // tar blocks before the member's header
  std::array<std::uint32_t, most> bytes{};  // of the payload, which follows the header
};
static_assert(sizeof(Plain) == sizeof(Outline));

/// Gathers the outline of one sample after the other.
class Outliner {
 public:
  void begin(std::uint64_t offset) {
    plain_ = {};
    end_ = offset;
    possible_ = true;
  }
  void add(const tar::Member& member, const Name& name) {
    const auto header = member.data - tar::block;
    const auto gap = (header - end_) / tar::block;
    possible_ = possible_ && member.own_path && plain_.fields < Plain::most && gap <= UINT16_MAX &&
                member.size <= UINT32_MAX && !has_upper(name.field);
    end_ = member.end;
    if (!possible_) return;
    const auto at = plain_.fields++;
    plain_.key = static_cast<std::uint8_t>(name.key.size());  // paths in headers: 100 at most
    plain_.name[at] = static_cast<std::uint8_t>(name.field.size());
    plain_.gap[at] = static_cast<std::uint16_t>(gap);
    plain_.bytes[at] = static_cast<std::uint32_t>(member.size);
  }
  [[nodiscard]] Outline outline() const {
    return possible_ ? std::bit_cast<Outline>(plain_) : Outline{};
  }

 private:
  Plain plain_;
  std::uint64_t end_ = 0;  // of the member before
  bool possible_ = false;
};

class Tar final : public Format {
 public:
  [[nodiscard]] std::string_view name() const override { return "tar"; }

  void scan(Source& source, Ends ends, SampleSink& sink) const override {
    tar::Walker walker(source, ends.finish ? tar::Finish::marker : tar::Finish::at_bytes);
    tar::Member member;
    std::string key;
    FieldNames names;
    Outliner outliner;
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
        const auto before = outliner.outline();
        if (starts) outliner.begin(any ? member.begin : 0);
        outliner.add(member, *name);
        // The sink may read on: what the name views is gone after this.
        if (starts && any) sink.outline(before);
        if (starts) sink.sample(any ? member.begin : 0);
        any = true;
      }
      if (any) sink.reached(member.end);
    }
    if (any) sink.outline(outliner.outline());
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

  void outlined_fields(std::span<const std::byte> bytes, const Outline& outline,
                       ParsedSample& out) const override {
    out.clear();
    const auto plain = std::bit_cast<Plain>(outline);
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    std::uint64_t header = 0;
    for (std::size_t i = 0; i < plain.fields; ++i) {
      header += plain.gap[i] * tar::block;
      if (i == 0) out.key = {text + header, plain.key};
      const auto data = header + tar::block;
      out.fields.push_back(
          {{text + header + plain.key + 1, plain.name[i]}, bytes.subspan(data, plain.bytes[i])});
      header = data + align_up(plain.bytes[i], tar::block);
    }
  }
};

}  // namespace

std::shared_ptr<const Format> make_tar() {
  return std::make_shared<Tar>();
}

}  // namespace faro::format
