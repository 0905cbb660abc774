#include "loader/dataset.hpp"

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "cli/prediction.hpp"
#include "comm/mpi.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {

void add_plan(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("plan", "Say what a run will take, before anything is read");
  command->footer(
      "\nUnder mpirun for the ranks it has, or for --ranks ranks of which --ranks-per-node share "
      "a\n"
      "node. Exit code 1 where the memory does not suffice. --report writes the same as JSON.\n"
      "With --nodes, --link or --store-link it also foretells what a round of the exchange costs.\n"
      "  faro plan shards/ --global-batch 4096 --window 64G --memory 8G --ranks 512 "
      "--ranks-per-node 8\n"
      "  faro plan shards/ --global-batch 65536 --window 1T --ranks 16384 --nodes 2048 --link "
      "25\n");
  auto config = std::make_shared<Config>();
  struct Extra {
    PlannedMachine machine;
    std::string report;
  };
  auto extra = std::make_shared<Extra>();
  auto settings = config::describe(*config);
  for (auto& setting : describe(extra->machine)) settings.push_back(std::move(setting));
  settings.push_back({"report", "FILE", "JSON of the plan",
                      [extra](std::string_view v) { extra->report = v; }, "Plan"});
  auto options = std::make_shared<Options>(*command, settings);
  command->callback([config, extra, options, &chosen] {
    chosen = [config, extra, options] {
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      comm::together(*comm, [&] { config->validate(); });
      auto node = comm->split_by_node(static_cast<int>(config->node_ranks));
      telemetry::Progress progress(comm->rank() == 0);
      const auto dataset = loader::open_dataset(
          *config, *comm, [&](const std::string& line) { progress.line(line); });
      auto machine = loader::inspect_machine(*config, *comm, *node);
      const auto& planned = extra->machine;
      comm::together(*comm, [&] { planned.apply(machine); });
      if (planned.ranks > 0 && config->memory == 0) {
        // Half of what is free on a node like this one, over the ranks that would share it.
        const auto whole = comm->split_by_node(0);
        machine.budget =
            machine.budget * static_cast<std::uint64_t>(whole->size()) / machine.largest_node;
      }
      auto plan = loader::make_plan(dataset.manifest, *config, machine).plan;
      plan.index_bytes = dataset.index_cost.bytes;
      plan.index_requests = dataset.index_cost.requests;
      comm::together(*comm, [&] {
        if (comm->rank() != 0) return;
        auto text = describe(plan, *config);
        auto json = to_json(plan);
        if (planned.predicts()) {
          const Prediction prediction(plan, *config, machine, planned);
          text += prediction.text();
          json["prediction"] = prediction.json();
        }
        fmt::print("{}", text);
        if (!extra->report.empty()) write_json(extra->report, json);
      });
      const bool holds =
          plan.planned_peak_bytes <= plan.budget_bytes && plan.arena_bytes <= plan.shared_bytes;
      return holds ? 0 : 1;
    };
  });
}

}  // namespace faro::cli
