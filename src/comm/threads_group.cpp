#include "comm/threads_group.hpp"

#include <cstring>

#include "base/error.hpp"

namespace faro::comm::threads {

Part::Part(Group& group, int rank, const char* name, Bytes mine, const Make& make)
    : group_(group), rank_(rank), number_(group.calls[static_cast<std::size_t>(rank)]) {
  auto& all = group.gatherings[number_];
  if (all.name == nullptr) {
    all.name = name;
    all.given.resize(group.ranks.size());
    all.missing = all.left = group.ranks.size();
  }
  check(std::strcmp(all.name, name) == 0, ErrorCode::internal,
        "rank {} calls {} where others call {}", group.job(rank), name, all.name);
  ++group.calls[static_cast<std::size_t>(rank)];
  all.given[static_cast<std::size_t>(rank)] = std::move(mine);
  all.last = Clock::now();
  if (--all.missing == 0 && make) all.made = make(all);
  group.changed.notify_all();
}

std::optional<Clock::time_point> Part::due(int root) {
  const auto& all = this->all();
  if (root < 0 ? all.missing > 0 : !all.given[static_cast<std::size_t>(root)]) return {};
  if (!due_) due_ = all.last + (root == rank_ ? Clock::duration{} : group_.delay(rank_, rank_));
  return due_;
}

void Part::await(std::unique_lock<std::mutex>& lock, int root) {
  group_.changed.wait(lock, [&] { return due(root).has_value(); });
  group_.changed.wait_until(lock, *due(root), [] { return false; });
}

void Part::leave() {
  const auto found = group_.gatherings.find(number_);
  if (--found->second.left == 0) group_.gatherings.erase(found);
}

}  // namespace faro::comm::threads
