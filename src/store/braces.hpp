// Internal to store/: brace patterns, as shells and WebDataset write them.
#pragma once

#include <string>
#include <vector>

namespace faro::store {

/// All that the pattern stands for, the last group running fastest. `{000..127}` keeps its zeros;
/// braces around anything but a range or a list with commas are themselves.
/// Error(invalid_argument): a reversed, endless, nested or unclosed group; over 10 million names.
[[nodiscard]] std::vector<std::string> expand_braces(const std::string& pattern);

}  // namespace faro::store
