#include "cli/describe.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/error.hpp"
#include "config/config.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {
namespace {

std::string size(std::uint64_t bytes) {
  return human_bytes(static_cast<double>(bytes));
}

}  // namespace

std::string describe(const Plan& plan, const Config& config) {
  std::string text;
  const auto row = [&](const char* name, const std::string& value) {
    text += fmt::format("{:<18}{}\n", name, value);
  };
  row("data set", fmt::format("{} samples, {} in {} blocks of {} shards", plan.samples,
                              size(plan.bytes), plan.blocks, plan.shards));
  row("window", plan.resident ? "full: read once, kept over all epochs"
                              : fmt::format("{} ({} bytes), {} an epoch", size(plan.window_bytes),
                                            plan.window_bytes, plan.windows));
  row("steps",
      fmt::format("{} an epoch of {} samples{}", plan.steps, config.global_batch,
                  plan.samples_per_epoch < plan.samples
                      ? fmt::format(", {} left out (drop)", plan.samples - plan.samples_per_epoch)
                  : plan.pads_per_epoch > 0
                      ? fmt::format(", the last with {} pads", plan.pads_per_epoch)
                      : ""));
  row("epochs", fmt::format("{}", config.epochs));
  row("requests",
      fmt::format("at least {} {}", plan.epoch_requests, plan.resident ? "in all" : "an epoch"));
  const bool cached = config.cache != "none";
  row("from the store",
      fmt::format("{}{} over all epochs", cached ? "at most " : "", size(plan.store_bytes)));
  if (cached) {
    row("cache",
        config.cache == "memory" && plan.resident
            ? "none: the window holds the whole data set in memory"
            : fmt::format("at most {} a node, in {}", size(config.cache_limit), config.cache));
  }
  if (plan.index_requests > 0) {
    row("indexing",
        fmt::format("{} in {} requests, now", size(plan.index_bytes), plan.index_requests));
  }
  if (plan.blocks_without_checksum > 0) {
    row("no checksum", fmt::format("{} of {} blocks: `faro index` records them",
                                   plan.blocks_without_checksum, plan.blocks));
  }
  row("ranks", fmt::format("{}", plan.ranks));
  if (plan.exchange != "shared") {
    row("between nodes",
        fmt::format("{}: messages of about {}, {} from rank to rank", plan.exchange,
                    size(plan.message_bytes), size(plan.direct_message_bytes)));
  }
  row("peak of a rank",
      fmt::format("{}: arena {}, other nodes' samples {}, tables {}, requests {}{}",
                  size(plan.planned_peak_bytes), size(plan.arena_bytes), size(plan.arrival_bytes),
                  size(plan.table_bytes), size(plan.request_bytes),
                  plan.cache_bytes > 0 ? fmt::format(", cache {}", size(plan.cache_bytes)) : ""));
  row("budget of a rank",
      fmt::format("{}: {}", size(plan.budget_bytes),
                  plan.planned_peak_bytes <= plan.budget_bytes
                      ? "holds"
                      : fmt::format("too small, {} bytes would do for this window, {} for the "
                                    "smallest",
                                    plan.planned_peak_bytes, plan.smallest_budget_bytes)));
  if (plan.shared_peak_bytes > plan.shared_bytes) {
    row("shared memory",
        fmt::format("too small: this node has {} of it for a rank", size(plan.shared_bytes)));
  }
  return text;
}

nlohmann::ordered_json to_json(const Plan& plan) {
  return {
      {"ranks", plan.ranks},
      {"shards", plan.shards},
      {"blocks", plan.blocks},
      {"blocks_without_checksum", plan.blocks_without_checksum},
      {"samples", plan.samples},
      {"bytes", plan.bytes},
      {"digest", plan.digest},
      {"window_bytes", plan.window_bytes},
      {"resident", plan.resident},
      {"windows", plan.windows},
      {"steps", plan.steps},
      {"steps_per_round", plan.steps_per_round},
      {"exchange_thread", plan.exchange_thread},
      {"samples_per_epoch", plan.samples_per_epoch},
      {"pads_per_epoch", plan.pads_per_epoch},
      {"epoch_requests", plan.epoch_requests},
      {"store_bytes", plan.store_bytes},
      {"index_bytes", plan.index_bytes},
      {"index_requests", plan.index_requests},
      {"budget_bytes", plan.budget_bytes},
      {"shared_bytes", plan.shared_bytes == UINT64_MAX ? nlohmann::ordered_json()
                                                       : nlohmann::ordered_json(plan.shared_bytes)},
      {"planned_peak_bytes", plan.planned_peak_bytes},
      {"exchange", plan.exchange},
      {"message_bytes", plan.message_bytes},
      {"direct_message_bytes", plan.direct_message_bytes},
      {"arena_bytes", plan.arena_bytes},
      {"shared_peak_bytes", plan.shared_peak_bytes},
      {"arrival_bytes", plan.arrival_bytes},
      {"table_bytes", plan.table_bytes},
      {"request_bytes", plan.request_bytes},
      {"cache_bytes", plan.cache_bytes},
      {"smallest_budget_bytes", plan.smallest_budget_bytes}};
}

nlohmann::ordered_json rank_json(std::uint64_t rank, const Locality& locality) {
  return {{"rank", rank},
          {"cpus", locality.cpus},
          {"numa", locality.numa},
          {"gpu", locality.gpu},
          {"nic", locality.nic},
          {"fetch_cpus", locality.fetch_cpus},
          {"exchange_cpus", locality.exchange_cpus},
          {"device", locality.device},
          {"path", locality.path},
          {"notes", locality.notes}};
}

void write_json(const std::string& file, const nlohmann::ordered_json& json) {
  const std::string temporary = file + ".part";
  std::ofstream out(temporary, std::ios::binary);
  out << json.dump(2) << '\n';
  out.close();
  if (!out.good() || std::rename(temporary.c_str(), file.c_str()) != 0) {
    const int code = errno;
    std::remove(temporary.c_str());
    fail(ErrorCode::io, "{}: cannot be written: {}", file, std::strerror(code));
  }
}

}  // namespace faro::cli
