#include "cli/watch.hpp"

#include "cli/command.hpp"
#include "exchange/roll_call.hpp"

namespace faro::cli {

Watch::Watch(const Loader& loader, std::unique_ptr<comm::Communicator> comm, double seconds)
    : loader_(loader), comm_(std::move(comm)), seconds_(seconds) {
  if (comm_->concurrent()) thread_ = std::thread([this] { work(); });
}

Watch::~Watch() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  ending_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watch::set(std::optional<Clock::time_point> since) {
  const std::scoped_lock lock(mutex_);
  since_ = since;
}

void Watch::work() {
  constexpr double grace = 2;
  exchange::RollCall roll_call(*comm_, grace);
  std::unique_lock lock(mutex_);
  while (!ending_.wait_for(lock, std::chrono::milliseconds(200), [this] { return over_; })) {
    if (since_) {
      const auto waited = seconds_since(*since_);
      if (waited > seconds_) roll_call.ask(waited);
    }
    auto error = since_ ? loader_.failure() : std::nullopt;
    if (error && error->code() != ErrorCode::peer) error.reset();  // all ranks come, and throw it
    if (!error) error = roll_call.poll(false);
    if (error) end_without_peer(*error);
  }
}

}  // namespace faro::cli
