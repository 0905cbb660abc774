// The formats there are; format.cpp alone picks among them.
#pragma once

#include <memory>

#include "format/format.hpp"

namespace faro::format {

/// WebDataset's tar shards.
[[nodiscard]] std::shared_ptr<const Format> make_tar();
/// Records of `record` bytes (at least 1) after `header` bytes.
[[nodiscard]] std::shared_ptr<const Format> make_raw(std::uint64_t header, std::uint64_t record);

}  // namespace faro::format
