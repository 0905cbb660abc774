#include <gtest/gtest.h>

#include <set>

#include "../support/errors.hpp"
#include "base/error.hpp"
#include "config/config.hpp"

namespace faro::config {
namespace {

using test::error_of;

std::string toml_error(const std::string& text, ErrorCode code = ErrorCode::invalid_argument) {
  Config config;
  return error_of([&] { parse_toml(text, "job.toml", config); }, code);
}

TEST(Size, UnitsOf1024AndOf1000) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("64K"), 64U << 10);
  EXPECT_EQ(parse_size("16MiB"), 16U << 20);
  EXPECT_EQ(parse_size("1.5G"), 3U << 29);
  EXPECT_EQ(parse_size("10MB"), 10'000'000U);
  EXPECT_EQ(parse_size("2tib"), std::uint64_t{2} << 40);
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "-1", "12X", "1e3", "G", "10 MB", "99999999P", "nan", "0x10"}) {
    EXPECT_SAYS(error_of([&] { (void)parse_size(bad); }, ErrorCode::invalid_argument), "size");
  }
}

TEST(Window, AutoFullOrSize) {
  EXPECT_EQ(parse_window("auto").kind, Window::Kind::automatic);
  EXPECT_EQ(parse_window("full").kind, Window::Kind::full);
  EXPECT_EQ(parse_window("16M").bytes, 16U << 20);
  EXPECT_SAYS(error_of([] { (void)parse_window("most"); }, ErrorCode::invalid_argument), "full");
}

TEST(Toml, SetsWhatTheCommandLineSets) {
  Config config;
  parse_toml(R"(
data = "/data/train-{000..127}.tar"
[order]
epochs = 3
seed = 7
global_batch = 4096
window = "64G"
end = "pad"
verify = true
[memory]
memory = 1073741824
[store]
request_timeout = 2.5
)",
             "job.toml", config);
  EXPECT_EQ(config.data, "/data/train-{000..127}.tar");
  EXPECT_EQ(config.epochs, 3U);
  EXPECT_EQ(config.global_batch, 4096U);
  EXPECT_EQ(config.window.bytes, std::uint64_t{64} << 30);
  EXPECT_EQ(config.end, EndPolicy::pad);
  EXPECT_TRUE(config.verify);
  EXPECT_EQ(config.memory, 1U << 30);
  EXPECT_DOUBLE_EQ(config.request_timeout, 2.5);
}

TEST(Toml, ErrorsNameFileLineAndKey) {
  EXPECT_SAYS(toml_error("seed = 1\nglobal_bach = 3\n"),
              "job.toml:2: global_bach: no such setting");
  EXPECT_SAYS(toml_error("epochs = -1\n"), "job.toml:1: epochs: '-1' is not a whole number");
  EXPECT_SAYS(toml_error("epochs = 1.5\n"), "epochs");
  EXPECT_SAYS(toml_error("verify = 1\n"), "neither true nor false");
  EXPECT_SAYS(toml_error("seed = [1, 2]\n"), "a string, a number or true/false is wanted");
  EXPECT_SAYS(toml_error("end = \"stop\"\n"), "drop, pad or partial");
  EXPECT_SAYS(toml_error("seed = \n", ErrorCode::format), "job.toml:1: not TOML");
  EXPECT_SAYS(toml_error("seed = 1\nseed = 2\n", ErrorCode::format), "job.toml:2");
}

TEST(Settings, NamesAreUniqueAndExplained) {
  Config config;
  std::set<std::string> names;
  for (const auto& setting : describe(config)) {
    EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
    EXPECT_FALSE(setting.help.empty()) << setting.name;
    EXPECT_FALSE(setting.group.empty()) << setting.name;
  }
}

TEST(Settings, HelpTellsTheDefaults) {
  Config config;
  std::size_t told = 0;
  for (const auto& setting : describe(config)) {
    const auto at = setting.help.rfind('[');
    if (at == std::string::npos) continue;
    setting.set(std::string_view(setting.help).substr(at + 1, setting.help.size() - at - 2));
    EXPECT_EQ(config, Config()) << setting.name;
    ++told;
  }
  EXPECT_GT(told, 10U);
}

TEST(Validate, NamesTheSettingAndTheRange) {
  const auto refused = [](const auto& change) {
    Config config;
    config.data = "/data";
    config.validate();
    change(config);
    return error_of([&] { config.validate(); }, ErrorCode::invalid_argument);
  };
  EXPECT_SAYS(refused([](Config& c) { c.data.clear(); }), "no data");
  EXPECT_SAYS(refused([](Config& c) { c.global_batch = 0; }), "global_batch = 0");
  EXPECT_SAYS(refused([](Config& c) { c.epochs = 0; }), "epochs = 0");
  EXPECT_SAYS(refused([](Config& c) { c.format = "zip"; }), "tar or raw");
  EXPECT_SAYS(refused([](Config& c) { c.format = "raw"; }), "raw_record");
  EXPECT_SAYS(refused([](Config& c) { c.window = {Window::Kind::bytes, 0}; }), "window = 0");
  EXPECT_SAYS(refused([](Config& c) { c.request_size = 1; }), "4096");
  EXPECT_SAYS(refused([](Config& c) { c.peer_timeout = -1; }), "peer_timeout");
}

}  // namespace
}  // namespace faro::config
