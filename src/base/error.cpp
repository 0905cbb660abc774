#include "base/error.hpp"

#include <array>

namespace faro {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::access_denied: return "access_denied";
    case ErrorCode::network: return "network";
    case ErrorCode::timeout: return "timeout";
    case ErrorCode::changed: return "changed";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::format: return "format";
    case ErrorCode::memory: return "memory";
    case ErrorCode::io: return "io";
    case ErrorCode::mpi: return "mpi";
    case ErrorCode::peer: return "peer";
    case ErrorCode::stopped: return "stopped";
    case ErrorCode::internal: return "internal";
    case ErrorCode::device: return "device";
  }
  return "internal";
}

std::string human_bytes(double bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 1000.0 && unit + 1 < units.size()) {
    bytes /= 1000.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.2f} {}", bytes, units[unit]);
}

}  // namespace faro
