// The windows that are worked on, kept while they are.
#pragma once

#include <map>
#include <memory>

#include "exchange/schedule.hpp"

namespace faro::exchange {

/// The orders inside the windows of one epoch that the current positions touch.
class Windows {
 public:
  /// Another epoch, or the same one.
  void use(std::shared_ptr<const EpochPlan> plan) {
    if (plan == plan_) return;
    open_.clear();
    last_ = nullptr;
    plan_ = std::move(plan);
  }
  /// The window that holds a position. The last one asked for is found at once.
  const order::WindowOrder& at_position(std::uint64_t position) {
    if (last_ != nullptr) {
      const auto& span = last_->span();
      if (position >= span.first_position && position < span.first_position + span.samples) {
        return *last_;
      }
    }
    return at(plan_->order.window_of_position(position));
  }
  const order::WindowOrder& at(std::uint64_t window) {
    auto& entry = open_[window];
    if (!entry) entry = std::make_unique<order::WindowOrder>(plan_->order, window);
    last_ = entry.get();
    return *entry;
  }
  /// Windows below `window` are not asked for any more.
  void forget_before(std::uint64_t window) {
    open_.erase(open_.begin(), open_.lower_bound(window));
    last_ = nullptr;
  }

 private:
  std::shared_ptr<const EpochPlan> plan_;
  std::map<std::uint64_t, std::unique_ptr<order::WindowOrder>> open_;
  const order::WindowOrder* last_ = nullptr;
};

}  // namespace faro::exchange
