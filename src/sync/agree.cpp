#include <set>
#include <sstream>

#include "base/error.hpp"
#include "sync/sync.hpp"

namespace faro::sync {
namespace {

std::string_view name_of(GradientType type) {
  switch (type) {
    case GradientType::f32: return "f32";
    case GradientType::f16: return "f16";
    case GradientType::bf16: return "bf16";
  }
  return "no type";
}

void validate(std::span<const GradientParameter> parameters, const GradientSyncOptions& options) {
  constexpr auto bad = ErrorCode::invalid_argument;
  check(!parameters.empty(), bad, "GradientSync: no parameter is registered");
  check(options.bucket_bytes > 0 && options.first_bucket_bytes > 0, bad,
        "GradientSync: bucket_bytes and first_bucket_bytes must be above 0");
  check(options.peer_timeout > 0, bad, "GradientSync: peer_timeout must be above 0");
  check(options.device >= -1, bad,
        "GradientSync: device {} is neither a number of CUDA's nor -1 for the host",
        options.device);
  check(options.device >= 0 || options.stream == nullptr, bad,
        "GradientSync: there is a stream, but no device");
  std::set<std::string_view> names;
  for (const auto& parameter : parameters) {
    check(!parameter.name.empty() && parameter.name.find('\n') == std::string::npos, bad,
          "GradientSync: a parameter without a name, or with one of several lines");
    check(names.insert(parameter.name).second, bad, "GradientSync: two parameters are called '{}'",
          parameter.name);
    check(parameter.elements > 0 && parameter.elements <= (std::uint64_t{1} << 48), bad,
          "GradientSync: parameter '{}' has {} elements", parameter.name, parameter.elements);
    check(parameter.gradient != nullptr || parameter.type == GradientType::f32, bad,
          "GradientSync: parameter '{}' of {} needs a place of its own: buckets hold f32",
          parameter.name, name_of(parameter.type));
  }
}

/// A line for the options, and one a parameter.
std::string describe(std::span<const GradientParameter> parameters,
                     const GradientSyncOptions& options) {
  std::string text = fmt::format(
      "{} parameters, their {}, in buckets of {} and {} bytes of {} memory\n", parameters.size(),
      options.reduction == Reduction::sum ? "sum" : "mean", options.first_bucket_bytes,
      options.bucket_bytes, options.device < 0 ? "host" : "device");
  for (const auto& parameter : parameters) {
    text +=
        fmt::format("'{}' of {} {}\n", parameter.name, parameter.elements, name_of(parameter.type));
  }
  return text;
}

}  // namespace

void agree_on(comm::Communicator& comm, std::span<const GradientParameter> parameters,
              const GradientSyncOptions& options) {
  comm::together(comm, [&] { validate(parameters, options); });
  const auto mine = describe(parameters, options);
  const auto first = comm::broadcast_text(comm, comm.rank() == 0 ? mine : "", 0);
  comm::together(comm, [&] {
    std::istringstream here(mine);
    std::istringstream there(first);
    std::string ours;
    std::string theirs;
    while (std::getline(there, theirs) && std::getline(here, ours)) {
      check(ours == theirs, ErrorCode::invalid_argument,
            "GradientSync: ranks have registered different things: rank 0 {}, rank {} {}", theirs,
            comm.rank(), ours);
    }
  });
}

}  // namespace faro::sync
