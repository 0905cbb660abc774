// When this node reads which block, for the cache.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "exchange/schedule.hpp"
#include "fetch/cache.hpp"
#include "order/order.hpp"

namespace faro::loader {

/// The order's inverse, over the epochs to come: a block's turns in them, and whether a rank of
/// this node is its reader there. Looks as many epochs ahead as it takes to fill the cache, so one
/// where a single node reads everything. What is read later than that is `later`.
class NodeForesight final : public fetch::Foresight {
 public:
  /// \param here by rank of the job: whether it is on this node
  /// \param enough bytes of blocks whose next read need be known
  NodeForesight(const manifest::Manifest& manifest, const exchange::ScheduleOptions& options,
                std::vector<bool> here, std::uint64_t enough);

  std::uint64_t advance(std::uint64_t epoch, std::uint64_t turn) override;
  [[nodiscard]] std::uint64_t next_read(std::uint64_t block) const override;

 private:
  void look_beyond(std::uint64_t epoch);

  const manifest::Manifest& manifest_;
  exchange::ScheduleOptions options_;
  std::uint64_t epochs_;
  std::vector<bool> here_;
  std::uint64_t enough_;
  std::uint64_t epoch_ = 0;
  std::uint64_t turn_ = 0;
  std::optional<order::Epoch> order_;  // of epoch_
  std::vector<std::uint64_t> beyond_;  // by block: its first read in the epochs after epoch_
};

}  // namespace faro::loader
