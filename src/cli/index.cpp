#include <chrono>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "comm/mpi.hpp"
#include "loader/dataset.hpp"
#include "store/store.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {

void add_index(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("index", "Find the samples of DATA and write its manifest");
  command->footer(
      "\nThe manifest (HDF5, 40 bytes a block) is written to --manifest, or to NAME.faro.h5 in "
      "the\n"
      "working directory, where the other commands look for it. With checksums (the default) "
      "every\n"
      "byte is read once; --no-checksums reads only headers where samples are large, and leaves "
      "the\n"
      "blocks without a CRC32C that later reads could be checked against.\n"
      "  mpirun -n 4 faro index '/data/train-{000000..000127}.tar'\n"
      "  faro index https://store.example/train-{000..127}.tar --manifest train.h5\n"
      "  faro index /data/records/ --format raw --raw-header 16 --raw-record 784\n");
  auto config = std::make_shared<Config>();
  config->checksums = true;
  auto settings = only(config::describe(*config),
                       {"data", "manifest", "format", "raw-header", "raw-record", "block-size",
                        "checksums", "request-size", "low-speed", "hedge"});
  for (auto& setting : store_settings(*config)) settings.push_back(std::move(setting));
  auto options = std::make_shared<Options>(*command, std::move(settings));
  command->callback([config, options, &chosen] {
    chosen = [config, options] {
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      comm::together(*comm, [&] { config->validate(); });
      const std::string file =
          config->manifest.empty() ? loader::default_manifest(config->data) : config->manifest;
      telemetry::Progress progress(comm->rank() == 0);
      bool begun = false;
      const auto start = std::chrono::steady_clock::now();
      manifest::IndexCost cost;
      const auto manifest = manifest::build(
          *config, *comm, &cost,
          {.progress =
               [&](std::uint64_t done, std::uint64_t shards, std::uint64_t bytes) {
                 if (!begun) progress.begin("indexing", shards);
                 begun = true;
                 progress.update(done, fmt::format("{} shards, {} read", done,
                                                   human_bytes(static_cast<double>(bytes))));
               },
           .log = [&](const std::string& line) { progress.line(line); }});
      comm::together(*comm, [&] {
        if (comm->rank() == 0) manifest::write(manifest, file);
      });
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      progress.end(fmt::format(
          "{}: {} samples in {} blocks of {} shards, {} in all; {} read in {} requests, {:.1f} s",
          file, manifest.samples, manifest.blocks.size(), manifest.shards.size(),
          human_bytes(static_cast<double>(manifest.bytes)),
          human_bytes(static_cast<double>(cost.bytes)), cost.requests, seconds));
      return 0;
    };
  });
}

}  // namespace faro::cli
