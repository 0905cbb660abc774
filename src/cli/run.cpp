#include <array>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "cli/order_file.hpp"
#include "comm/mpi.hpp"
#include "loader/proof.hpp"
#include "store/store.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {
namespace {

struct Outputs {
  std::string order;
  std::string report;
};

/// One epoch over all ranks: samples and bytes summed, the times of the slowest rank.
EpochStats over_ranks(const EpochStats& mine, comm::Communicator& comm) {
  EpochStats all = mine;
  std::array<std::uint64_t, 2> sums{mine.samples, mine.bytes};
  comm.all_reduce(sums, comm::Op::sum);
  all.samples = sums[0];
  all.bytes = sums[1];
  const auto nanoseconds = [](double s) { return static_cast<std::uint64_t>(s * 1e9); };
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
  std::array<std::uint64_t, 5> sums{mine.store_bytes, mine.store_requests, mine.retries,
                                    mine.wasted_bytes, mine.remote_bytes};
  comm.all_reduce(sums, comm::Op::sum);
  std::array<std::uint64_t, 2> most{mine.peak_rss_bytes, mine.peak_mapped_bytes};
  comm.all_reduce(most, comm::Op::max);
  return {sums[0], sums[1], sums[2], sums[3], sums[4], most[0], most[1]};
}

double rate(std::uint64_t amount, double seconds) {
  return seconds > 0 ? static_cast<double>(amount) / seconds : 0;
}

std::string speed(const EpochStats& epoch, std::uint64_t ranks) {
  return fmt::format("{} samples/s, {}/s, stall {:.1f} s",
                     telemetry::human_count(rate(epoch.samples * ranks, epoch.seconds)),
                     human_bytes(rate(epoch.bytes * ranks, epoch.seconds)), epoch.stall_seconds);
}

/// The consumer: touches every byte of every batch, and writes down the order if asked to.
EpochStats consume(Loader& loader, comm::Communicator& comm, telemetry::Progress& progress,
                   const Config& config, OrderFile* order) {
  const auto& plan = loader.plan();
  const auto number = loader.epoch_stats().epoch;
  progress.begin(
      fmt::format("epoch {} ({} of {})", number, number - config.first_epoch + 1, config.epochs),
      plan.steps);
  while (const auto batch = loader.next()) {
    for (std::size_t slot = 0; slot < batch->size(); ++slot) {
      const auto payload = loader::payload_of((*batch)[slot].fields);
      if (order != nullptr) order->row(*batch, slot, payload.bytes, payload.crc);
    }
    if (order != nullptr) order->step();
    if (progress.due()) {
      progress.update(batch->step() + 1, speed(loader.epoch_stats(), plan.ranks));
    }
  }
  if (order != nullptr) order->end();
  const auto epoch = over_ranks(loader.epoch_stats(), comm);
  progress.end(fmt::format("epoch {}: {} samples in {:.2f} s: {}, first batch after {:.2f} s{}",
                           epoch.epoch, epoch.samples, epoch.seconds, speed(epoch, 1),
                           epoch.time_to_first_batch_seconds, epoch.verified ? ", verified" : ""));
  return epoch;
}

nlohmann::ordered_json report(const Plan& plan, const Config& config, const LoaderStats& stats,
                              const std::vector<EpochStats>& epochs) {
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
                    {"samples_per_second", rate(epoch.samples, epoch.seconds)},
                    {"bytes_per_second", rate(epoch.bytes, epoch.seconds)},
                    {"time_to_first_batch_seconds", epoch.time_to_first_batch_seconds},
                    {"stall_seconds", epoch.stall_seconds},
                    {"verified", epoch.verified}});
  }
  return {{"faro", FARO_VERSION},
          {"data", store::redacted(config.data)},
          {"ranks", plan.ranks},
          {"samples", samples},
          {"bytes", bytes},
          {"store_bytes", stats.store_bytes},
          {"store_requests", stats.store_requests},
          {"retries", stats.retries},
          {"wasted_bytes", stats.wasted_bytes},
          {"remote_bytes", stats.remote_bytes},
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
          {"plan", to_json(plan)}};
}

void summarise(const nlohmann::ordered_json& report, const Plan& plan, const Config& config,
               double seconds, const std::string& file) {
  const auto bytes = report["bytes"].get<std::uint64_t>();
  const auto store = report["store_bytes"].get<std::uint64_t>();
  fmt::print("samples      {} in {} epochs on {} ranks\n", report["samples"].get<std::uint64_t>(),
             config.epochs, plan.ranks);
  fmt::print("speed        {:.3f} GB/s delivered\n", rate(bytes, seconds) / 1e9);
  fmt::print("store        {} read, {:.3f} of the data set {}; {} requests, {} retries\n",
             human_bytes(static_cast<double>(store)),
             static_cast<double>(store) / static_cast<double>(plan.store_bytes),
             plan.resident ? "once over all epochs" : "once an epoch",
             report["store_requests"].get<std::uint64_t>(), report["retries"].get<std::uint64_t>());
  fmt::print("memory       {} peak a rank, {} planned\n",
             human_bytes(report["peak_rss_bytes"].get<double>()),
             human_bytes(static_cast<double>(plan.planned_peak_bytes)));
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

int run(const Config& config, const Outputs& outputs, comm::Communicator& comm) {
  telemetry::Progress progress(comm.rank() == 0);
  Loader loader(config, MPI_COMM_WORLD, [&](const std::string& line) { progress.line(line); });
  const auto& plan = loader.plan();
  progress.line(describe(plan, config));
  try {
    std::optional<OrderFile> order;
    if (!outputs.order.empty()) order.emplace(outputs.order, comm);
    std::vector<EpochStats> epochs;
    double seconds = 0;
    while (loader.begin_epoch()) {
      epochs.push_back(consume(loader, comm, progress, config, order ? &*order : nullptr));
      seconds += epochs.back().seconds;
    }
    const auto stats = over_ranks(loader.stats(), comm);
    comm::together(comm, [&] {
      if (comm.rank() != 0) return;
      const auto json = report(plan, config, stats, epochs);
      if (!outputs.report.empty()) write_json(outputs.report, json);
      summarise(json, plan, config, seconds, outputs.report);
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::peer) throw;
    // A rank that is silent comes to no end with the others: speak, and end the job without it.
    report_error(error);
    comm::abort_job(1);
  }
  return 0;
}

}  // namespace

void add_run(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand(
      "run", "Deliver every batch of shuffled epochs to a consumer that touches every byte");
  command->footer(
      "\nDATA is a brace pattern ('/data/train-{000000..000127}.tar'), a directory or glob (where "
      "the\n"
      "store lists: files), one shard, or @file with a list; http(s):// and file://. The order "
      "depends\n"
      "on data, seed, epoch and window alone: any number of ranks gives the same one.\n"
      "  mpirun -n 4 faro run shards/ --epochs 3 --seed 1 --global-batch 256 --verify\n"
      "  mpirun -n 64 faro run 'https://store/train-{000..127}.tar' --window 64G --memory 4G \\\n"
      "    --global-batch 4096 --end pad --report report.json --order order.csv\n"
      "  srun -n 64 --mpi=pmix faro run --config train.toml\n");
  auto config = std::make_shared<Config>();
  auto outputs = std::make_shared<Outputs>();
  auto settings = config::describe(*config);
  settings.push_back({"order", "FILE",
                      "CSV, a row for each delivered sample: epoch, step, rank, slot, sample, key, "
                      "bytes, crc32c, pad",
                      [outputs](std::string_view v) { outputs->order = v; }, "Output"});
  settings.push_back({"report", "FILE", "JSON with what was delivered, and how fast",
                      [outputs](std::string_view v) { outputs->report = v; }, "Output"});
  auto options = std::make_shared<Options>(*command, settings);
  command->callback([config, outputs, options, &chosen] {
    chosen = [config, outputs, options] {
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      return run(*config, *outputs, *comm);
    };
  });
}

}  // namespace faro::cli
