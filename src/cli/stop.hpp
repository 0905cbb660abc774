#pragma once

#include <csignal>

namespace faro::cli {

/// While it lives, SIGINT and SIGTERM are kept for check() to tell; the second of them kills.
class StopOnSignal {
 public:
  StopOnSignal();
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  /// Error(stopped) once a signal has come.
  void check() const;

 private:
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
};

}  // namespace faro::cli
