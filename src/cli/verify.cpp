#include <algorithm>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "comm/mpi.hpp"
#include "fetch/fetch.hpp"
#include "loader/dataset.hpp"
#include "loader/verify.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {

void add_verify(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("verify", "Read every block of DATA against its checksum");
  command->footer(
      "\nNeeds a manifest with checksums: `faro index DATA` writes one. Every bad block is named.\n"
      "  mpirun -n 4 faro verify shards/\n");
  auto config = std::make_shared<Config>();
  auto settings =
      only(config::describe(*config), {"data", "manifest", "request-size", "low-speed", "hedge"});
  for (auto& setting : store_settings(*config)) settings.push_back(std::move(setting));
  auto options = std::make_shared<Options>(*command, std::move(settings));
  command->callback([config, options, &chosen] {
    chosen = [config, options] {
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      comm::together(*comm, [&] { config->validate(); });
      telemetry::Progress progress(comm->rank() == 0);
      const auto result = loader::verify_blocks(
          *config, *comm, [&](const std::string& line) { progress.line(line); },
          [&](std::uint64_t done, std::uint64_t all) {
            if (done == 0) progress.begin("verifying", all);
            progress.update(done, fmt::format("{} of rank 0's {} blocks", done, all));
          });
      if (comm->rank() == 0) {
        for (const auto& bad : result.bad) fmt::print("bad: {}\n", bad);
        fmt::print("{} blocks, {} bytes: {} bad, {} without a checksum\n", result.blocks,
                   result.bytes, result.bad.size(), result.unchecked);
      }
      return result.bad.empty() ? 0 : 1;
    };
  });
}

}  // namespace faro::cli
