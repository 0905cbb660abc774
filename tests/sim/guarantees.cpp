#include "guarantees.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "order/order.hpp"

namespace faro::sim {
namespace {

template <class... Args>
void hold(bool condition, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) fail(fmt::format(text, std::forward<Args>(args)...));
}

/// The sample of each slot of an epoch, as one rank alone would deliver them.
class Reference {
 public:
  Reference(const Scenario& scenario, const Plan& plan, std::uint64_t epoch)
      : blocks_(scenario.data.manifest.blocks),
        order_(blocks_, scenario.config.seed, epoch, plan.window_bytes, 1, order::Readers::by_turn),
        steps_(scenario.data.manifest.samples, scenario.config.global_batch, 1,
               scenario.config.end) {
    for (std::uint64_t w = 0; w < order_.windows(); ++w) {
      const order::WindowOrder window(order_, w);
      const auto& span = window.span();
      for (auto p = span.first_position; p < span.first_position + span.samples; ++p) {
        const auto place = window.place(p);
        sample_.push_back(blocks_[order_.block(place.turn)].first_sample + place.index);
      }
    }
  }
  [[nodiscard]] const order::Steps& steps() const { return steps_; }
  [[nodiscard]] std::uint64_t sample(std::uint64_t step, std::uint64_t slot) const {
    return sample_.at(steps_.position(step, slot));
  }
  [[nodiscard]] bool is_pad(std::uint64_t step, std::uint64_t slot) const {
    return steps_.is_pad(step, slot);
  }

 private:
  const std::vector<manifest::Block>& blocks_;
  order::Epoch order_;
  order::Steps steps_;
  std::vector<std::uint64_t> sample_;  // by position
};

const Report& any_plan(const std::vector<Report>& reports) {
  for (const auto& report : reports) {
    if (report.plan.steps > 0) return report;
  }
  return reports.front();
}

/// 1 and 2: each rank has got a beginning of its slices of the order that one rank alone delivers;
/// where all came to the end of an epoch, every slot of it once.
void check_order(const Scenario& scenario, const std::vector<Report>& reports) {
  const auto& plan = any_plan(reports).plan;
  if (plan.steps == 0) return;
  const auto ranks = static_cast<std::uint32_t>(scenario.ranks());
  std::vector<Reference> epochs;
  for (std::uint64_t e = 0; e < scenario.config.epochs; ++e) {
    epochs.emplace_back(scenario, plan, scenario.config.first_epoch + e);
  }
  const order::Steps slices(scenario.data.manifest.samples, scenario.config.global_batch, ranks,
                            scenario.config.end);
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    const auto& report = reports[rank];
    std::size_t next = 0;
    for (std::uint64_t batch = 0; batch < report.batches; ++batch) {
      const auto epoch = batch / plan.steps;
      const auto step = batch % plan.steps;
      const auto slice = slices.slice(step, static_cast<std::uint32_t>(rank));
      for (auto slot = slice.first; slot < slice.last; ++slot, ++next) {
        hold(next < report.samples.size(), "guarantee 1: rank {} lacks a sample of step {}", rank,
             step);
        const auto& got = report.samples[next];
        hold(got.epoch == scenario.config.first_epoch + epoch && got.step == step &&
                 got.slot == slot,
             "guarantee 1: rank {} got slot {} of step {} of epoch {} where slot {} of step {} is "
             "due",
             rank, got.slot, got.step, got.epoch, slot, step);
        hold(got.number == epochs[epoch].sample(step, slot) &&
                 got.pad == epochs[epoch].is_pad(step, slot),
             "guarantee 2: rank {} got sample {} in slot {} of step {} of epoch {}, and one rank "
             "alone delivers {}",
             rank, got.number, slot, step, got.epoch, epochs[epoch].sample(step, slot));
      }
    }
    hold(next == report.samples.size(), "guarantee 1: rank {} got {} samples in slots of {}", rank,
         report.samples.size(), next);
  }
  // The reference itself: every sample that the policy delivers, once.
  for (std::uint64_t e = 0; e < epochs.size(); ++e) {
    std::vector<std::uint64_t> times(scenario.data.manifest.samples);
    for (std::uint64_t step = 0; step < plan.steps; ++step) {
      for (std::uint64_t slot = 0; slot < epochs[e].steps().slots(step); ++slot) {
        if (!epochs[e].is_pad(step, slot)) ++times[epochs[e].sample(step, slot)];
      }
    }
    const auto once = static_cast<std::uint64_t>(std::count(times.begin(), times.end(), 1U));
    const auto expected = scenario.config.end == EndPolicy::drop
                              ? plan.steps * scenario.config.global_batch
                              : times.size();
    hold(once == expected && *std::max_element(times.begin(), times.end()) == 1,
         "guarantee 1: {} samples of epoch {} come once, not {}", once, e, expected);
  }
}

/// 3: where nothing failed and nothing was raced, each byte of a block was read once for each time
/// that the plan says; in every case at least as often.
void check_reads(const Scenario& scenario, const Store& store, const std::vector<Report>& reports) {
  std::uint64_t bytes = 0;
  std::uint64_t again = 0;
  for (const auto& report : reports) {
    bytes += report.store_bytes;
    again += report.retries + report.hedges;
  }
  const auto& plan = reports.front().plan;
  hold(bytes == plan.store_bytes, "guarantee 3: {} bytes were read where the plan has {}", bytes,
       plan.store_bytes);
  const auto times = plan.resident ? 1 : scenario.config.epochs;
  for (const auto& block : scenario.data.manifest.blocks) {
    const auto& shard = scenario.data.manifest.shards[block.shard];
    const auto& reads = store.reads().at(shard.uri);
    for (auto at = block.offset; at < block.offset + block.length; ++at) {
      hold(reads[at] == times || (again > 0 && reads[at] > times),
           "guarantee 3: byte {} of {} was read {} times, not {}", at, shard.uri, reads[at], times);
    }
  }
}

/// 4 and 6: all ranks together come to the end, or to the same error.
void check_together(const Scenario& scenario, const std::vector<Report>& reports) {
  const Report* first = nullptr;  // of those that did not leave
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    const auto& report = reports[rank];
    const bool overheld = report.error && report.error->code() == ErrorCode::invalid_argument &&
                          scenario.consumers[rank].ending == Ending::overholds;
    if (report.error && !overheld) {
      hold(scenario.errors.contains(report.error->code()), "guarantee 6: rank {} throws {}: {}",
           rank, to_string(report.error->code()), report.error->what());
    }
    if (report.left || overheld) continue;
    if (first == nullptr) first = &report;
    const bool agreed = scenario.ending != Ending::mpi && scenario.ending != Ending::freezes &&
                        scenario.ending != Ending::dies && scenario.ending != Ending::falls_silent;
    if (!agreed) continue;
    hold(report.error.has_value() == first->error.has_value(),
         "guarantee 6: rank {} {} and another one {}", rank,
         report.error ? report.error->what() : "ends well",
         first->error ? first->error->what() : "ends well");
    hold(report.batches == first->batches, "guarantee 4: rank {} got {} batches and another one {}",
         rank, report.batches, first->batches);
    if (!report.error) continue;
    hold(report.error->code() == first->error->code() &&
             report.error->rank() == first->error->rank() &&
             std::string_view(report.error->what()) == first->error->what(),
         "guarantee 6: rank {} throws another error than others: {} / {}", rank,
         report.error->what(), first->error->what());
  }
  if (scenario.must_fail) {
    hold(first == nullptr || first->error.has_value(), "guarantee 6: nobody throws an error");
  }
}

/// 6: nobody waits for longer than was said.
void check_time(const Scenario& scenario, const std::vector<Report>& reports) {
  double thrown = 1e9;
  double ended = 0;
  for (const auto& report : reports) {
    if (report.error && report.thrown > 0) thrown = std::min(thrown, report.thrown);
    ended = std::max(ended, report.ended);
  }
  if (thrown == 1e9) return;
  const auto& config = scenario.config;
  // A rank waits that long for a batch, for the answers to who is there, for others to leave.
  double most = 4 * config.peer_timeout + 4 + scenario.frozen_for;
  for (const auto& consumer : scenario.consumers) {
    most += consumer.pause * static_cast<double>(any_plan(reports).plan.steps * config.epochs);
  }
  hold(ended - thrown <= most, "guarantee 6: the last rank ended {:.3f} s after the first error",
       ended - thrown);
}

}  // namespace

void check_guarantees(const Scenario& scenario, const Store& store,
                      const std::vector<Report>& reports) {
  check_order(scenario, reports);
  check_together(scenario, reports);
  check_time(scenario, reports);
  const bool whole = std::all_of(reports.begin(), reports.end(), [&](const auto& report) {
    return !report.error && !report.left && report.epochs == scenario.config.epochs;
  });
  if (whole) check_reads(scenario, store, reports);
  if (scenario.ending == Ending::none) {
    hold(whole, "guarantee 4: a rank did not come to the end of its epochs");
  }
}

}  // namespace faro::sim
