#include "pack/pack.hpp"

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/stop.hpp"
#include "comm/mpi.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {

void add_pack(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("pack", "Write a data set as tar shards, in parallel");
  command->footer(
      "\nSource idx: MNIST's files (train-images-idx3-ubyte.gz and so on, also unpacked); a sample "
      "is\n"
      "an image (png) and its label (cls, decimal). The shards do not depend on the number of "
      "ranks.\n"
      "  mpirun -n 4 faro pack /usr/share/datasets/fashion-mnist shards/ --split train\n"
      "  mpirun -n 4 faro pack /usr/share/datasets/fashion-mnist s3://bucket/fashion-mnist\n"
      "Shards for s3:// are sent while they are packed, in parts; credentials and endpoint are "
      "those of\n"
      "AWS's tools (AWS_ACCESS_KEY_ID and so on, AWS_ENDPOINT_URL, ~/.aws). All shards appear in "
      "the end,\n"
      "or none does: Ctrl-C leaves neither files nor uploads behind.\n");
  auto chosen_options = std::make_shared<pack::PackOptions>();
  auto& o = *chosen_options;
  const auto text = [](std::string& value) {
    return [&value](std::string_view given) { value = given; };
  };
  const std::string group = "Shards";
  auto config = std::make_shared<Config>();
  auto settings = std::vector<config::Setting>{
      {"input", "INPUT", "what is packed: for idx a directory", text(o.input), group, true},
      {"output", "OUTPUT", "directory of the shards, or s3://BUCKET/PREFIX", text(o.output), group,
       true},
      {"source", "idx", "kind of the input [idx]", text(o.source), group},
      {"split", "train|t10k", "part of the data set [train]", text(o.split), group},
      {"samples-per-shard", "N", "samples of a shard [1000]",
       [&o](std::string_view given) { o.samples_per_shard = config::parse_count(given); }, group},
      {"prefix", "NAME", "of the shards' names (default: the split)", text(o.prefix), group},
      {"force", "", "replace shards that exist",
       [&o](std::string_view given) { o.force = config::parse_switch(given); }, group}};
  for (auto& setting : store_settings(*config)) settings.push_back(std::move(setting));
  auto options = std::make_shared<Options>(*command, std::move(settings));
  command->callback([chosen_options, config, options, &chosen] {
    chosen = [chosen_options, config, options] {
      const StopOnSignal stop;
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      comm::together(*comm, [&] {
        check(!chosen_options->input.empty() && !chosen_options->output.empty(),
              ErrorCode::invalid_argument, "INPUT and OUTPUT are wanted: `faro pack --help`");
      });
      chosen_options->store = store::options_of(*config);
      chosen_options->store.ranks = static_cast<unsigned>(comm->size());
      chosen_options->checkpoint = [&stop] { stop.check(); };
      telemetry::Progress progress(comm->rank() == 0);
      bool begun = false;
      const auto result = pack::pack(
          *chosen_options, *comm, [&](const pack::PackResult& so_far, std::uint64_t samples) {
            if (!begun) progress.begin("packing", samples);
            begun = true;
            progress.update(so_far.samples, human_bytes(static_cast<double>(so_far.shard_bytes)));
          });
      progress.end(fmt::format("packed {} samples into {} shards of {} in all: {}", result.samples,
                               result.shards, human_bytes(static_cast<double>(result.shard_bytes)),
                               result.pattern));
      return 0;
    };
  });
}

}  // namespace faro::cli
