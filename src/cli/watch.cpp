#include "cli/watch.hpp"

#include "cli/command.hpp"
#include "comm/mpi.hpp"
#include "exchange/roll_call.hpp"

namespace faro::cli {

Watch::Watch(std::unique_ptr<comm::Communicator> comm, double seconds)
    : comm_(std::move(comm)), seconds_(seconds), thread_([this] { work(); }) {}

Watch::~Watch() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watch::set(std::optional<Clock::time_point> since) {
  {
    const std::scoped_lock lock(mutex_);
    since_ = since;
  }
  if (since) changed_.notify_all();
}

void Watch::work() {
  constexpr double grace = 2;
  exchange::RollCall roll_call(*comm_, grace);
  std::unique_lock lock(mutex_);
  while (!over_) {
    changed_.wait(lock, [this] { return over_ || since_; });
    // What is over within a moment, as almost all is, costs no look.
    changed_.wait_for(lock, std::chrono::milliseconds(200), [this] { return over_ || !since_; });
    if (over_ || !since_) continue;
    const auto waited = std::chrono::duration<double>(Clock::now() - *since_).count();
    if (waited > seconds_) roll_call.ask(waited);
    if (const auto error = roll_call.poll(false)) {
      report_error(*error);
      comm::abort_job(1);
    }
  }
}

}  // namespace faro::cli
