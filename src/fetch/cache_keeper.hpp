// Internal to fetch/: which block goes first.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "fetch/cache.hpp"

namespace faro::fetch {

/// The cached blocks that this rank may remove, by the moment at which the node reads them next.
/// What is read last goes first: no rule leaves more hits (Belady, "A study of replacement
/// algorithms for a virtual-storage computer", 1966), and here it can be followed, as the order is
/// known. But only for a block of an earlier epoch: as an epoch reads a block once, all its hits
/// are on what is there when it begins, and to replace one block that it reads by another is a
/// write for nothing. So where one node reads everything, what is kept first stays.
/// One thread uses it.
class Keeper {
 public:
  /// \param blocks of the data set
  Keeper(Foresight& foresight, std::uint64_t blocks) : foresight_(foresight), blocks_(blocks) {}

  /// Time goes on: to that turn of an epoch of the run, where it is not there already.
  void advance(std::uint64_t epoch, std::uint64_t turn);
  void add(std::uint64_t block);
  void forget(std::uint64_t block);
  /// The block to be removed for that one, which was read in that epoch; nothing where none is
  /// worth less.
  [[nodiscard]] std::optional<std::uint64_t> give_up_for(std::uint64_t block,
                                                         std::uint64_t epoch) const;
  [[nodiscard]] std::size_t size() const noexcept { return moment_.size(); }

 private:
  void sort_in(std::uint64_t block);
  [[nodiscard]] std::uint64_t epoch_of(std::uint64_t moment) const;

  Foresight& foresight_;
  const std::uint64_t blocks_;
  std::pair<std::uint64_t, std::uint64_t> now_{0, 0};
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_moment_;
  std::unordered_map<std::uint64_t, std::uint64_t> moment_;  // by block, as in by_moment_
};

}  // namespace faro::fetch
