#include "pack/source.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "pack/idx.hpp"

namespace faro::pack {

std::span<const SourceKind> source_kinds() {
  static constexpr std::array kinds{
      SourceKind{"idx", "MNIST's and Fashion-MNIST's IDX files: png + cls", &open_idx},
  };
  return kinds;
}

std::unique_ptr<Source> open_source(const std::string& name, const std::string& input,
                                    const std::string& split) {
  std::string known;
  for (const SourceKind& kind : source_kinds()) {
    if (kind.name == name) return kind.open(input, split);
    known += known.empty() ? "" : ", ";
    known += kind.name;
  }
  fail(ErrorCode::invalid_argument, "there is no source '{}' to pack from; known: {}", name, known);
}

std::string padded(std::uint64_t i, std::uint64_t count) {
  const std::size_t width = std::max<std::size_t>(6, fmt::formatted_size("{}", count - 1));
  return fmt::format("{:0{}}", i, width);
}

}  // namespace faro::pack
