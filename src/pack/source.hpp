// Where the samples of `faro pack` come from. To add a source: a class here, a line in source.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace faro::pack {

/// A named part of a sample: a member of the shard.
struct SourceField {
  std::string name;  ///< lower case, as the shard stores it: "png"
  std::vector<std::byte> bytes;
};

struct SourceSample {
  std::string key;  ///< unique in the source, without a dot: "000123"
  std::vector<SourceField> fields;
};

/// A data set with random access, so that ranks pack disjoint ranges of it at the same time.
/// Not thread safe. Its input is untrusted: errors are Error(format) that name file and place.
class Source {
 public:
  virtual ~Source() = default;
  [[nodiscard]] virtual std::uint64_t count() const = 0;
  [[nodiscard]] virtual SourceSample sample(std::uint64_t i) const = 0;
};

/// A source by name.
struct SourceKind {
  std::string_view name;   ///< "idx"
  std::string_view about;  ///< one line for --help
  std::unique_ptr<Source> (*open)(const std::string& input, const std::string& split);
};

[[nodiscard]] std::span<const SourceKind> source_kinds();

/// Opens a source. Error(invalid_argument) names the known ones for an unknown name.
[[nodiscard]] std::unique_ptr<Source> open_source(const std::string& name, const std::string& input,
                                                  const std::string& split);

/// i with leading zeros, as wide as the largest of `count` numbers and six digits at least.
[[nodiscard]] std::string padded(std::uint64_t i, std::uint64_t count);

}  // namespace faro::pack
