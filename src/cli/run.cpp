#include <optional>
#include <vector>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "cli/order_file.hpp"
#include "cli/report.hpp"
#include "cli/watch.hpp"
#include "comm/mpi.hpp"
#include "loader/proof.hpp"
#include "store/store.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {
namespace {

struct Outputs {
  std::string order;
  std::string report;
  std::string consume = "touch";  // touch | gather | none
};

std::string speed(const EpochStats& epoch, std::uint64_t ranks) {
  return fmt::format("{} samples/s, {}/s, stall {:.1f} s",
                     telemetry::human_count(per_second(epoch.samples * ranks, epoch.seconds)),
                     human_bytes(per_second(epoch.bytes * ranks, epoch.seconds)),
                     epoch.stall_seconds);
}

/// What is done with a batch. Its memory is used again.
class Consumer {
 public:
  Consumer(const std::string& how, OrderFile* order)
      : touch_(how == "touch"), gather_(how == "gather"), order_(order) {}

  void operator()(const Batch& batch) {
    for (std::size_t slot = 0; touch_ && slot < batch.size(); ++slot) {
      const auto payload = loader::payload_of(batch[slot].fields);
      if (order_ != nullptr) order_->row(batch, slot, payload.bytes, payload.crc);
    }
    if (!gather_) return;
    if (const auto bytes = batch.bytes(""); bytes > buffer_.size()) buffer_.resize(bytes);
    batch.gather("", buffer_);
  }

 private:
  bool touch_;
  bool gather_;
  OrderFile* order_;
  std::vector<std::byte> buffer_;
};

/// Delivers an epoch to the consumer.
Epoch deliver(Loader& loader, comm::Communicator& comm, Watch& watch, telemetry::Progress& progress,
              const Config& config, OrderFile* order, Consumer& consume) {
  const auto& plan = loader.plan();
  const auto number = loader.epoch_stats().epoch;
  progress.begin(
      fmt::format("epoch {} ({} of {})", number, number - config.first_epoch + 1, config.epochs),
      plan.steps);
  const double cpu = cpu_seconds();
  while (const auto batch = loader.next()) {
    consume(*batch);
    if (order != nullptr) watch([&] { order->step(); });
    if (progress.due()) {
      progress.update(batch->step() + 1, speed(loader.epoch_stats(), plan.ranks));
    }
  }
  if (order != nullptr) watch([&] { order->end(); });
  const auto epoch = watch([&] {
    return over_ranks(Epoch{loader.epoch_stats(), cpu_seconds() - cpu}, comm);
  });
  progress.end(fmt::format("epoch {}: {} samples in {:.2f} s: {}, first batch after {:.2f} s{}",
                           epoch.epoch, epoch.samples, epoch.seconds, speed(epoch, 1),
                           epoch.time_to_first_batch_seconds, epoch.verified ? ", verified" : ""));
  return epoch;
}

int run(const Config& config, const Outputs& outputs, comm::Communicator& comm) {
  telemetry::Progress progress(comm.rank() == 0);
  Loader loader(config, MPI_COMM_WORLD, [&](const std::string& line) {
    if (comm.rank() == 0) {
      progress.line(line);
    } else {
      fmt::print(stderr, "faro: {}\n", line);
    }
  });
  const auto& plan = loader.plan();
  progress.line(describe(plan, config));
  // At the end of a run a rank's cache may take that long for its last blocks.
  const double cache_seconds = config.cache == "none" ? 0 : 60;
  Watch watch(loader, comm.duplicate(), config.peer_timeout + cache_seconds);
  try {
    std::optional<OrderFile> order;
    check(outputs.order.empty() || outputs.consume == "touch", ErrorCode::invalid_argument,
          "order needs consume = touch: it writes down a checksum of every sample");
    if (!outputs.order.empty()) order.emplace(outputs.order, comm);
    std::vector<Epoch> epochs;
    double seconds = 0;
    auto* rows = order ? &*order : nullptr;
    Consumer consumer(outputs.consume, rows);
    while (loader.begin_epoch()) {
      epochs.push_back(deliver(loader, comm, watch, progress, config, rows, consumer));
      seconds += epochs.back().seconds;
    }
    watch([&] {
      const auto stats = over_ranks(loader.stats(), comm);
      const auto placement = over_ranks(loader.locality(), comm);
      comm::together(comm, [&] {
        if (comm.rank() != 0) return;
        const auto json = report(plan, config, stats, epochs, placement);
        if (!outputs.report.empty()) write_json(outputs.report, json);
        summarise(json, plan, config, seconds, outputs.report);
      });
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::peer) throw;
    end_without_peer(error);
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
  settings.push_back(
      {"consume", "touch|gather|none",
       "what is done with batches: every byte is read, or copied into one buffer, or "
       "nothing, as a limit for benchmarks [touch]",
       [outputs](std::string_view v) {
         check(v == "touch" || v == "gather" || v == "none", ErrorCode::invalid_argument,
               "'{}' is unknown: give touch, gather or none", v);
         outputs->consume = v;
       },
       "Output"});
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
