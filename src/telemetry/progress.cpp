#include "telemetry/progress.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>

namespace faro::telemetry {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono_literals::operator""ms;

/// The terminal that stderr ends on; -1 where it is none. Under mpirun a rank's stderr is a pipe to
/// its parent, which passes on what it reads: then the parent's stderr tells.
int terminal() {
  if (isatty(STDERR_FILENO) != 0) return STDERR_FILENO;
  const std::string parent = fmt::format("/proc/{}", getppid());
  std::string name;
  std::getline(std::ifstream(parent + "/comm"), name);
  if (name != "mpirun" && name != "mpiexec" && name != "orterun" && name != "prterun") return -1;
  const int fd = open((parent + "/fd/2").c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0 && isatty(fd) != 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

std::size_t width_of(int terminal) {
  winsize size{};
  return ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
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

Progress::Progress(bool shown) : shown_(shown), terminal_(shown ? terminal() : -1) {}

Progress::~Progress() {
  clear();
  if (terminal_ > STDERR_FILENO) close(terminal_);
}

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

void Progress::begin(std::string what, std::uint64_t total) {
  what_ = std::move(what);
  total_ = total;
  start_ = Clock::now();
  last_ = terminal_ >= 0 ? Clock::time_point() : start_;
}

bool Progress::due() const {
  return shown_ && Clock::now() - last_ >= (terminal_ >= 0 ? 100ms : 10'000ms);
}

void Progress::update(std::uint64_t done, const std::string& detail) {
  if (!due()) return;
  last_ = Clock::now();
  const double part = total_ == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total_);
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const std::string left = part > 0 ? human_time(seconds / part - seconds) + " left" : "";
  if (terminal_ < 0) {
    fmt::print(stderr, "{} {:.0f} % {} {}\n", what_, 100 * part, detail, left);
    return;
  }
  const std::string tail = fmt::format(" {:3.0f} %  {}  {}", 100 * part, detail, left);
  const std::size_t width = width_of(terminal_) - 1;
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

void Progress::end(const std::string& summary) {
  line(summary);
}

void Progress::line(const std::string& text) {
  if (!shown_) return;
  clear();
  fmt::print(stderr, "{}\n", text);
}

}  // namespace faro::telemetry
