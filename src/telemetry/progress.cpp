#include "telemetry/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace faro::telemetry {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono_literals::operator""ms;

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

std::string human_count(double count) {
  constexpr std::array units{"", " k", " M", " G", " T"};
  std::size_t unit = 0;
  while (count >= 1000.0 && unit + 1 < units.size()) {
    count /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", count, unit == 0 ? 0 : 1, units[unit]);
}

std::string human_time(double seconds) {
  const auto all = static_cast<std::uint64_t>(std::max(0.0, seconds + 0.5));
  if (all >= 3600) return fmt::format("{}:{:02}:{:02}", all / 3600, all / 60 % 60, all % 60);
  return fmt::format("{}:{:02}", all / 60, all % 60);
}

Progress::Progress(bool shown) : shown_(shown), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

void Progress::begin(std::string what, std::uint64_t total) {
  what_ = std::move(what);
  total_ = total;
  start_ = Clock::now();
  last_ = terminal_ ? Clock::time_point() : start_;
}

bool Progress::due() const {
  return shown_ && Clock::now() - last_ >= (terminal_ ? 100ms : 10'000ms);
}

void Progress::update(std::uint64_t done, const std::string& detail) {
  if (!due()) return;
  last_ = Clock::now();
  const double part = total_ == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total_);
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const std::string left = part > 0 ? human_time(seconds / part - seconds) + " left" : "";
  if (!terminal_) {
    fmt::print(stderr, "{} {:.0f} % {} {}\n", what_, 100 * part, detail, left);
    return;
  }
  const std::string tail = fmt::format(" {:3.0f} %  {}  {}", 100 * part, detail, left);
  const std::size_t width = terminal_width() - 1;
  const std::size_t used = what_.size() + tail.size() + 3;
  std::string text = what_;
  if (used + 10 <= width) {
    const std::size_t cells = std::min<std::size_t>(width - used, 40);
    const auto full = static_cast<std::size_t>(part * static_cast<double>(cells));
    text += " [" + std::string(full, '#') + std::string(cells - full, '.') + "]";
  }
  text = (text + tail).substr(0, width);
  fmt::print(stderr, "\r\033[K{}", text);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::end(const std::string& summary) { line(summary); }

void Progress::line(const std::string& text) {
  if (!shown_) return;
  clear();
  fmt::print(stderr, "{}\n", text);
}

}  // namespace faro::telemetry
