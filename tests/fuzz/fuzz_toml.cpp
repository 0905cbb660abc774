// Any bytes as a configuration: refused with an Error, or settings.
#include "config/config.hpp"
#include "fuzz.hpp"

using namespace faro;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Config config;
  const auto parse = [&] { config::parse_toml(text, "fuzz.toml", config); };
  if (succeeds(parse, ErrorCode::format, ErrorCode::invalid_argument)) {
    static_cast<void>(succeeds([&] { config.validate(); }, ErrorCode::invalid_argument));
  }
  return 0;
}
