#include "cli/stop.hpp"

#include "base/error.hpp"

namespace faro::cli {
namespace {

volatile std::sig_atomic_t received = 0;

void note(int signal) {
  received = signal;
}

}  // namespace

StopOnSignal::StopOnSignal() {
  received = 0;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, &before_int_);
  sigaction(SIGTERM, &action, &before_term_);
}

StopOnSignal::~StopOnSignal() {
  sigaction(SIGINT, &before_int_, nullptr);
  sigaction(SIGTERM, &before_term_, nullptr);
}

void StopOnSignal::check() const {
  const int signal = received;
  if (signal == 0) return;
  fail(ErrorCode::stopped, "ended by {}; nothing has been put in place",
       signal == SIGINT ? "SIGINT" : "SIGTERM");
}

}  // namespace faro::cli
