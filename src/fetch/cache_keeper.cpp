#include "fetch/cache_keeper.hpp"

#include <vector>

namespace faro::fetch {

void Keeper::advance(std::uint64_t epoch, std::uint64_t turn) {
  const std::pair to{epoch, turn};
  if (to <= now_) return;
  const bool new_epoch = epoch != now_.first;
  now_ = to;
  const auto moment = foresight_.advance(epoch, turn);
  // What was to be read by now has been, and is read again later. With an epoch the horizon moves,
  // and with it all that lies behind it.
  std::vector<std::uint64_t> passed;
  for (const auto& [when, block] : by_moment_) {
    if (when > moment && !new_epoch) break;
    passed.push_back(block);
  }
  for (const auto block : passed) sort_in(block);
}

void Keeper::sort_in(std::uint64_t block) {
  const auto [found, added] = moment_.try_emplace(block);
  if (!added) by_moment_.erase({found->second, block});
  found->second = foresight_.next_read(block);
  by_moment_.emplace(found->second, block);
}

void Keeper::add(std::uint64_t block) {
  sort_in(block);
}

void Keeper::forget(std::uint64_t block) {
  const auto found = moment_.find(block);
  if (found == moment_.end()) return;
  by_moment_.erase({found->second, block});
  moment_.erase(found);
}

std::uint64_t Keeper::epoch_of(std::uint64_t moment) const {
  return moment >= Foresight::later ? moment : moment / blocks_;
}

std::optional<std::uint64_t> Keeper::give_up_for(std::uint64_t block, std::uint64_t epoch) const {
  // One that comes after its epoch has no claim on what the next one has read already.
  if (by_moment_.empty() || epoch < now_.first) return std::nullopt;
  const auto& [moment, last] = *by_moment_.rbegin();
  if (epoch_of(moment) <= epoch_of(foresight_.next_read(block))) return std::nullopt;
  return last;
}

}  // namespace faro::fetch
