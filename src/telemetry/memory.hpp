// What the system says of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace faro::telemetry {

/// Bytes that this process may still take: the least of MemAvailable and what its cgroup leaves.
[[nodiscard]] std::uint64_t available_memory();

/// Peak resident bytes of this process (VmHWM).
[[nodiscard]] std::uint64_t peak_resident();

/// Bytes of the address ranges that are resident in this process now, by /proc/self/smaps. Mappings
/// that a range touches count whole. Walks page tables: call it seldom.
[[nodiscard]] std::uint64_t resident_in(std::span<const std::span<std::byte>> ranges);

}  // namespace faro::telemetry
