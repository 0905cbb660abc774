#include "cli/report.hpp"

#include <sys/resource.h>

#include <array>

#include "cli/describe.hpp"
#include "config/config.hpp"
#include "exchange/route.hpp"
#include "store/store.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {
namespace {

std::uint64_t nanoseconds(double seconds) {
  return static_cast<std::uint64_t>(seconds * 1e9);
}

nlohmann::ordered_json to_json(const RetryCounts& by) {
  return {{"connection", by.connection}, {"timeout", by.timeout},
          {"throttled", by.throttled},   {"server_error", by.server_error},
          {"truncated", by.truncated},   {"wrong", by.wrong},
          {"expired", by.expired},       {"corrupt", by.corrupt}};
}

// "12 retries (10 throttled, 2 timeout)".
std::string retries_text(const nlohmann::ordered_json& report) {
  std::string causes;
  for (const auto& [cause, count] : report["retries_by"].items()) {
    if (count.get<std::uint64_t>() == 0) continue;
    causes += fmt::format("{}{} {}", causes.empty() ? "" : ", ", count.get<std::uint64_t>(), cause);
  }
  return fmt::format("{} retries{}", report["retries"].get<std::uint64_t>(),
                     causes.empty() ? "" : " (" + causes + ")");
}

}  // namespace

Epoch over_ranks(const Epoch& mine, comm::Communicator& comm) {
  Epoch all = mine;
  std::array<std::uint64_t, 3> sums{mine.samples, mine.bytes, nanoseconds(mine.cpu_seconds)};
  comm.all_reduce(sums, comm::Op::sum);
  all.samples = sums[0];
  all.bytes = sums[1];
  all.cpu_seconds = static_cast<double>(sums[2]) / 1e9;
  std::array<std::uint64_t, 3> worst{nanoseconds(mine.seconds),
                                     nanoseconds(mine.time_to_first_batch_seconds),
                                     nanoseconds(mine.stall_seconds)};
  comm.all_reduce(worst, comm::Op::max);
  all.seconds = static_cast<double>(worst[0]) / 1e9;
  all.time_to_first_batch_seconds = static_cast<double>(worst[1]) / 1e9;
  all.stall_seconds = static_cast<double>(worst[2]) / 1e9;
  return all;
}

LoaderStats over_ranks(const LoaderStats& mine, comm::Communicator& comm) {
  LoaderStats all = mine;
  auto& by = all.retries_by;
  const std::array summed{&all.store_bytes,   &all.store_requests, &all.retries,
                          &all.hedges,        &all.hedges_won,     &all.wasted_bytes,
                          &all.remote_bytes,  &by.connection,      &by.timeout,
                          &by.throttled,      &by.server_error,    &by.truncated,
                          &by.wrong,          &by.expired,         &by.corrupt,
                          &all.cache_hits,    &all.cache_bytes,    &all.cache_written_bytes,
                          &all.cache_dropped, &all.messages,       &all.message_bytes};
  const std::array highest{&all.peak_requests, &all.peak_rss_bytes, &all.peak_mapped_bytes,
                           &all.largest_message_bytes};
  const auto reduce = [&comm](const auto& fields, comm::Op op) {
    std::vector<std::uint64_t> values;
    for (const auto* field : fields) values.push_back(*field);
    comm.all_reduce(values, op);
    for (std::size_t i = 0; i < fields.size(); ++i) *fields[i] = values[i];
  };
  reduce(summed, comm::Op::sum);
  reduce(highest, comm::Op::max);
  return all;
}

nlohmann::ordered_json over_ranks(const Locality& mine, comm::Communicator& comm) {
  auto json = rank_json(static_cast<std::uint64_t>(comm.rank()), mine);
  json["node"] = mine.node;
  json["huge_pages"] = mine.huge_pages;
  const auto text = json.dump();
  auto all = nlohmann::ordered_json::array();
  for (const auto& bytes : comm.gather(std::as_bytes(std::span(text)), 0)) {
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    all.push_back(nlohmann::ordered_json::parse(begin, begin + bytes.size()));
  }
  return all;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double per_second(std::uint64_t amount, double seconds) {
  return seconds > 0 ? static_cast<double>(amount) / seconds : 0;
}

nlohmann::ordered_json report(const Plan& plan, const Config& config, const LoaderStats& stats,
                              const std::vector<Epoch>& epochs,
                              const nlohmann::ordered_json& placement) {
  std::uint64_t samples = 0;
  std::uint64_t bytes = 0;
  bool verified = config.verify;
  auto list = nlohmann::ordered_json::array();
  for (const auto& epoch : epochs) {
    samples += epoch.samples;
    bytes += epoch.bytes;
    verified = verified && epoch.verified;
    list.push_back({{"epoch", epoch.epoch},
                    {"seconds", epoch.seconds},
                    {"samples", epoch.samples},
                    {"bytes", epoch.bytes},
                    {"samples_per_second", per_second(epoch.samples, epoch.seconds)},
                    {"bytes_per_second", per_second(epoch.bytes, epoch.seconds)},
                    {"time_to_first_batch_seconds", epoch.time_to_first_batch_seconds},
                    {"stall_seconds", epoch.stall_seconds},
                    {"cpu_seconds", epoch.cpu_seconds},
                    {"verified", epoch.verified}});
  }
  return {
      {"faro", FARO_VERSION},
      {"data", store::redacted(config.data)},
      {"ranks", plan.ranks},
      {"samples", samples},
      {"bytes", bytes},
      {"store_bytes", stats.store_bytes},
      {"store_requests", stats.store_requests},
      {"retries", stats.retries},
      {"retries_by", to_json(stats.retries_by)},
      {"hedges", stats.hedges},
      {"hedges_won", stats.hedges_won},
      {"peak_requests", stats.peak_requests},
      {"wasted_bytes", stats.wasted_bytes},
      {"remote_bytes", stats.remote_bytes},
      {"exchange",
       {{"way", plan.exchange},
        {"setting", config.exchange},
        {"messages", stats.messages},
        {"message_bytes", stats.message_bytes},
        {"mean_message_bytes", stats.message_bytes / std::max<std::uint64_t>(stats.messages, 1)},
        {"largest_message_bytes", stats.largest_message_bytes},
        {"expected_message_bytes", plan.message_bytes},
        {"expected_direct_message_bytes", plan.direct_message_bytes},
        {"gather_below_bytes", static_cast<std::uint64_t>(exchange::gather_below)}}},
      {"cache_hits", stats.cache_hits},
      {"cache_bytes", stats.cache_bytes},
      {"cache_written_bytes", stats.cache_written_bytes},
      {"cache_dropped", stats.cache_dropped},
      {"planned_peak_bytes", plan.planned_peak_bytes},
      {"peak_rss_bytes", stats.peak_rss_bytes},
      {"peak_mapped_bytes", stats.peak_mapped_bytes},
      {"verified", verified},
      {"seed", config.seed},
      {"end", config::to_string(config.end)},
      {"global_batch", config.global_batch},
      {"dataset_samples", plan.samples},
      {"dataset_bytes", plan.bytes},
      {"epochs", list},
      {"placement", placement},
      {"plan", to_json(plan)}};
}

void summarise(const nlohmann::ordered_json& report, const Plan& plan, const Config& config,
               double seconds, const std::string& file) {
  const auto bytes = report["bytes"].get<std::uint64_t>();
  const auto store = report["store_bytes"].get<std::uint64_t>();
  fmt::print("samples      {} in {} epochs on {} ranks\n", report["samples"].get<std::uint64_t>(),
             config.epochs, plan.ranks);
  fmt::print("speed        {:.3f} GB/s delivered\n", per_second(bytes, seconds) / 1e9);
  fmt::print("store        {} read, {:.3f} of the data set {}; {} requests, {}{}\n",
             human_bytes(static_cast<double>(store)),
             static_cast<double>(store) / static_cast<double>(plan.store_bytes),
             plan.resident ? "once over all epochs" : "once an epoch",
             report["store_requests"].get<std::uint64_t>(), retries_text(report),
             report["hedges"].get<std::uint64_t>() > 0
                 ? fmt::format(", {} hedges", report["hedges"].get<std::uint64_t>())
                 : "");
  if (config.cache != "none") {
    const auto dropped = report["cache_dropped"].get<std::uint64_t>();
    fmt::print("cache        {} read in {} blocks, {} written{}\n",
               human_bytes(report["cache_bytes"].get<double>()),
               report["cache_hits"].get<std::uint64_t>(),
               human_bytes(report["cache_written_bytes"].get<double>()),
               dropped > 0 ? fmt::format("; {} blocks could not be kept", dropped) : "");
  }
  if (plan.exchange != "shared") {
    const auto& sent = report["exchange"];
    fmt::print("exchange     {}: {} messages between nodes of {} on average, {} at most\n",
               plan.exchange, sent["messages"].get<std::uint64_t>(),
               human_bytes(sent["mean_message_bytes"].get<double>()),
               human_bytes(sent["largest_message_bytes"].get<double>()));
  }
  fmt::print("memory       {} peak a rank, {} planned\n",
             human_bytes(report["peak_rss_bytes"].get<double>()),
             human_bytes(static_cast<double>(plan.planned_peak_bytes)));
  std::size_t bound = 0;
  std::size_t huge = 0;
  for (const auto& rank : report["placement"]) {
    if (!rank["fetch_cpus"].get<std::string>().empty()) ++bound;
    if (rank["huge_pages"].get<bool>()) ++huge;
  }
  fmt::print("placement    threads bound on {} ranks, huge pages for the arenas of {}\n", bound,
             huge);
  if (config.verify) {
    fmt::print("proof        every sample delivered exactly once{}, every block read once{}\n",
               plan.samples_per_epoch < plan.samples
                   ? fmt::format(" (but the {} an epoch that drop leaves out)",
                                 plan.samples - plan.samples_per_epoch)
                   : "",
               plan.blocks_without_checksum > 0
                   ? fmt::format("; {} of {} blocks have no checksum (`faro index` records them)",
                                 plan.blocks_without_checksum, plan.blocks)
                   : ", checksums right");
  }
  if (!file.empty()) fmt::print("report       {}\n", file);
}

}  // namespace faro::cli
