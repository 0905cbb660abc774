// Whether memory that asks for huge pages (base/huge_pages.hpp) gets them.
#pragma once

#include <string>
#include <string_view>

namespace faro::telemetry {

struct HugePages {
  bool given = false;
  std::string why;  ///< the setting that decides, for people
};

/// Private memory, by /sys/kernel/mm/transparent_hugepage/enabled.
[[nodiscard]] HugePages private_huge_pages();
/// Files that are shared memory, in a directory such as /dev/shm: a tmpfs. Its mount's option
/// `huge` decides, unless the kernel's shmem_enabled is `force` or `deny`; its other values are for
/// memory without a file.
[[nodiscard]] HugePages shared_huge_pages(const std::string& directory);

/// The same of what those files of the kernel say.
[[nodiscard]] HugePages private_huge_pages_by(std::string_view enabled);
/// \param mounts /proc/self/mountinfo
[[nodiscard]] HugePages shared_huge_pages_by(std::string_view shmem_enabled,
                                             std::string_view mounts, std::string_view directory);

}  // namespace faro::telemetry
