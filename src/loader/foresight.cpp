#include "loader/foresight.hpp"

#include <algorithm>
#include <utility>

namespace faro::loader {
namespace {

// Of a large job's data set a node reads a small part in an epoch: beyond so many epochs, what is
// known to be read sooner fills any cache.
constexpr std::uint64_t most_epochs_ahead = 16;

}  // namespace

NodeForesight::NodeForesight(const manifest::Manifest& manifest,
                             const exchange::ScheduleOptions& options, std::vector<bool> here,
                             std::uint64_t enough)
    : manifest_(manifest),
      options_(options),
      epochs_(options.resident ? 1 : options.epochs),
      here_(std::move(here)),
      enough_(enough) {}

std::uint64_t NodeForesight::advance(std::uint64_t epoch, std::uint64_t turn) {
  if (!order_ || epoch != epoch_) {
    order_.emplace(exchange::order_of(manifest_, options_, epoch));
    look_beyond(epoch);
  }
  epoch_ = epoch;
  turn_ = turn;
  return epoch * manifest_.blocks.size() + turn;
}

void NodeForesight::look_beyond(std::uint64_t epoch) {
  const auto blocks = manifest_.blocks.size();
  const auto horizon = std::min(epochs_, epoch + 1 + most_epochs_ahead);
  beyond_.assign(blocks, horizon < epochs_ ? later : never);
  std::uint64_t known = 0;
  for (auto ahead = epoch + 1; ahead < horizon; ++ahead) {
    if (known >= enough_) {
      std::replace(beyond_.begin(), beyond_.end(), never, later);
      return;
    }
    const auto order = exchange::order_of(manifest_, options_, ahead);
    for (std::uint64_t turn = 0; turn < blocks; ++turn) {
      auto& read = beyond_[order.block(turn)];
      if (read < later || !here_[order.reader(turn)]) continue;
      read = ahead * blocks + turn;
      known += manifest_.blocks[order.block(turn)].length;
    }
  }
}

std::uint64_t NodeForesight::next_read(std::uint64_t block) const {
  const auto turn = order_->turn_of_block(block);
  if (turn > turn_ && here_[order_->reader(turn)]) {
    return epoch_ * manifest_.blocks.size() + turn;
  }
  return beyond_[block];
}

}  // namespace faro::loader
