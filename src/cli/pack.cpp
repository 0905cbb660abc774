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
  auto options = std::make_shared<pack::PackOptions>();
  command->add_option("INPUT", options->input, "what is packed: for idx a directory")->required();
  command->add_option("OUTPUT", options->output, "directory of the shards")->required();
  command->add_option("--source", options->source, "kind of the input")
      ->type_name("idx")
      ->capture_default_str();
  command->add_option("--split", options->split, "part of the data set")
      ->type_name("train|t10k")
      ->capture_default_str();
  command->add_option("--samples-per-shard", options->samples_per_shard, "samples of a shard")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--prefix", options->prefix, "of the shards' names (default: the split)")
      ->type_name("NAME");
  command->add_flag("--force", options->force, "replace shards that exist");
  command->callback([options, &chosen] {
    chosen = [options] {
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      telemetry::Progress progress(comm->rank() == 0);
      bool begun = false;
      const auto result =
          pack::pack(*options, *comm, [&](const pack::PackResult& so_far, std::uint64_t samples) {
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
