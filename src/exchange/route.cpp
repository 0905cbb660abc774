#include "exchange/route.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace faro::exchange {

Route::Route(std::vector<std::uint32_t> nodes, std::uint32_t rank, Way way, std::uint32_t parts)
    : nodes_(std::move(nodes)), rank_(rank), parts_(way == Way::direct ? 1 : parts) {
  std::map<std::uint32_t, std::uint32_t> ranks_of;  // by node
  std::map<std::uint32_t, std::uint32_t> group_of;  // by what a group is
  for (std::uint32_t r = 0; r < nodes_.size(); ++r) {
    index_.push_back(ranks_of[nodes_[r]]++);
    const auto key = way == Way::direct ? r : nodes_[r];
    const auto [found, fresh] =
        group_of.try_emplace(key, static_cast<std::uint32_t>(members_.size()));
    if (fresh) members_.emplace_back();
    group_.push_back(found->second);
    members_[found->second].push_back(r);
  }
  several_ = ranks_of.size() > 1;
  for (const auto& members : members_) {
    parts_ = std::min(parts_, static_cast<std::uint32_t>(members.size()));
  }
}

// A group of s members has parts of consecutive ones: member m is in part m parts / s.

std::uint32_t Route::part(std::uint32_t rank) const {
  if (parts_ == 1) return 0;
  const std::uint64_t size = members_[group_[rank]].size();
  return static_cast<std::uint32_t>(std::uint64_t{index_[rank]} * parts_ / size);
}

std::span<const std::uint32_t> Route::receivers(std::uint32_t group, std::uint32_t part) const {
  const std::span<const std::uint32_t> all = members_[group];
  const std::uint64_t size = all.size();
  // The first m with m parts / s >= p.
  const auto first = [&](std::uint64_t p) { return (p * size + parts_ - 1) / parts_; };
  return all.subspan(first(part), first(part + 1) - first(part));
}

// A group's lanes are numbered by how far off the other group is, then by part: near ones go to
// its first members, and no two groups begin with the same.

std::uint32_t Route::sender(std::uint32_t from, std::uint32_t to, std::uint32_t part) const {
  const std::uint64_t off = (to + groups() - from) % groups();
  const auto& all = members_[from];
  return all[((off - 1) * parts_ + part) % all.size()];
}

std::uint32_t Route::receiver(std::uint32_t from, std::uint32_t to, std::uint32_t part) const {
  const std::uint64_t off = (from + groups() - to) % groups();
  const auto& all = members_[to];
  return all[((off - 1) * parts_ + part) % all.size()];
}

std::uint32_t Route::received_part(std::uint32_t from) const {
  std::uint32_t part = 0;
  while (part < parts_ && receiver(from, own_group(), part) != rank_) ++part;
  return part;
}

double expected_message(const Shape& shape, std::uint64_t from, std::uint64_t to) {
  const double mean = static_cast<double>(shape.samples) * static_cast<double>(from) *
                      static_cast<double>(to) / static_cast<double>(shape.ranks);
  return shape.sample_bytes * mean / -std::expm1(-mean);
}

Way choose_way(const Shape& shape) {
  return shape.per_node > 1 && expected_message(shape, 1, 1) < gather_below ? Way::gathered
                                                                            : Way::direct;
}

std::uint32_t choose_parts(const Shape& shape) {
  const auto per_node = std::max<std::uint64_t>(shape.per_node, 1);
  const auto others = std::max<std::uint64_t>((shape.ranks + per_node - 1) / per_node, 2) - 1;
  std::uint64_t parts = (per_node + others - 1) / others;
  while (parts > 1 &&
         expected_message(shape, per_node, (per_node + parts - 1) / parts) < gather_below) {
    --parts;
  }
  return static_cast<std::uint32_t>(parts);
}

}  // namespace faro::exchange
