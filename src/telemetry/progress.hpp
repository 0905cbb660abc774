// Progress for people: a bar on a terminal, plain lines elsewhere. On stderr, rank 0 only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace faro::telemetry {

class Progress {
 public:
  /// \param shown false on ranks that stay silent
  explicit Progress(bool shown);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Begins a piece of work of `total` units.
  void begin(std::string what, std::uint64_t total);
  /// Redraws now and then: the bar ten times a second, a line every ten seconds.
  /// \param detail what stands behind the bar ("12.3 k samples/s, 1.2 GB/s")
  void update(std::uint64_t done, const std::string& detail);
  /// Whether update() would draw now: saves making the detail.
  [[nodiscard]] bool due() const;
  /// Ends the piece of work; leaves one line that says so.
  void end(const std::string& summary);
  /// A line of its own.
  void line(const std::string& text);

 private:
  void clear();

  bool shown_;
  int terminal_;  // its descriptor; -1 for none
  bool drawn_ = false;
  std::string what_;
  std::uint64_t total_ = 0;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

/// "12.3 k", "4.5 M": counts for people.
[[nodiscard]] std::string human_count(double count);
/// "0:42", "3:07:00".
[[nodiscard]] std::string human_time(double seconds);

}  // namespace faro::telemetry
