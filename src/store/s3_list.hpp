// Internal to store/: the shards of an s3:// URI.
#pragma once

#include <string>
#include <vector>

#include "store/store.hpp"

namespace faro::store {

/// What expand() gives for s3://: brace patterns; the objects right under a "directory" (a prefix
/// that ends in '/', or that has objects under it); globs, in which no wildcard matches a '/'; or
/// one object. Sorted by bytes; hidden names (of a leading '.') are left out of listings. Errors:
/// not_found (no such object, nothing listed), and all that a request may end in.
[[nodiscard]] std::vector<std::string> expand_s3(const std::string& data, const std::string& suffix,
                                                 const Options& options);

}  // namespace faro::store
