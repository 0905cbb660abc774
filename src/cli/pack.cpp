#include "pack/pack.hpp"

#include "base/error.hpp"
#include "cli/command.hpp"
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
      "  mpirun -n 4 faro pack /usr/share/datasets/fashion-mnist shards/ --split train\n");
  auto chosen_options = std::make_shared<pack::PackOptions>();
  auto& o = *chosen_options;
  const auto text = [](std::string& value) {
    return [&value](std::string_view given) { value = given; };
  };
  const std::string group = "Shards";
  auto options = std::make_shared<Options>(
      *command,
      std::vector<config::Setting>{
          {"input", "INPUT", "what is packed: for idx a directory", text(o.input), group, true},
          {"output", "OUTPUT", "directory of the shards", text(o.output), group, true},
          {"source", "idx", "kind of the input [idx]", text(o.source), group},
          {"split", "train|t10k", "part of the data set [train]", text(o.split), group},
          {"samples-per-shard", "N", "samples of a shard [1000]",
           [&o](std::string_view given) { o.samples_per_shard = config::parse_count(given); },
           group},
          {"prefix", "NAME", "of the shards' names (default: the split)", text(o.prefix), group},
          {"force", "", "replace shards that exist",
           [&o](std::string_view given) { o.force = config::parse_switch(given); }, group}});
  command->callback([chosen_options, options, &chosen] {
    chosen = [chosen_options, options] {
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      comm::together(*comm, [&] {
        check(!chosen_options->input.empty() && !chosen_options->output.empty(),
              ErrorCode::invalid_argument, "INPUT and OUTPUT are wanted: `faro pack --help`");
      });
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
