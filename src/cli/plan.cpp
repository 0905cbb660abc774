#include "loader/dataset.hpp"

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "comm/mpi.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {

void add_plan(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("plan", "Say what a run will take, before anything is read");
  command->footer(
      "\nUnder mpirun for the ranks it has, or for --ranks ranks of which --ranks-per-node share "
      "a\n"
      "node. Exit code 1 where the memory does not suffice. --report writes the same as JSON.\n"
      "  faro plan shards/ --global-batch 4096 --window 64G --memory 8G --ranks 512 "
      "--ranks-per-node 8\n");
  auto config = std::make_shared<Config>();
  struct Extra {
    std::uint64_t ranks = 0;
    std::uint64_t ranks_per_node = 0;
    std::string report;
  };
  auto extra = std::make_shared<Extra>();
  auto settings = config::describe(*config);
  settings.push_back({"ranks", "N", "plan for that many ranks instead of this job's",
                      [extra](std::string_view v) { extra->ranks = config::parse_count(v); },
                      "Plan"});
  settings.push_back(
      {"ranks-per-node", "N", "ranks of a node (default: all on one)",
       [extra](std::string_view v) { extra->ranks_per_node = config::parse_count(v); }, "Plan"});
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
      if (extra->ranks > 0) {
        check(extra->ranks <= 1U << 24, ErrorCode::invalid_argument,
              "--ranks {} is out of range: it must be at most 2^24", extra->ranks);
        machine.ranks = static_cast<std::uint32_t>(extra->ranks);
        machine.largest_node = machine.ranks;
        machine.smallest_node = machine.smallest_group = machine.own_group = machine.ranks;
        machine.shared = UINT64_MAX;  // another machine's
      }
      if (extra->ranks > 0 && config->memory == 0) {
        // Half of what is free on a node like this one, over the ranks that would share it.
        const auto whole = comm->split_by_node(0);
        const auto ranks = extra->ranks_per_node > 0 ? extra->ranks_per_node : extra->ranks;
        machine.budget = machine.budget * static_cast<std::uint64_t>(whole->size()) / ranks;
      }
      if (extra->ranks_per_node > 0) {
        machine.largest_node = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(machine.ranks, extra->ranks_per_node));
        machine.smallest_node = machine.smallest_group = machine.own_group = machine.largest_node;
      }
      auto plan = loader::make_plan(dataset.manifest, *config, machine).plan;
      plan.index_bytes = dataset.index_cost.bytes;
      plan.index_requests = dataset.index_cost.requests;
      comm::together(*comm, [&] {
        if (comm->rank() != 0) return;
        fmt::print("{}", describe(plan, *config));
        if (!extra->report.empty()) write_json(extra->report, to_json(plan));
      });
      const bool holds = plan.planned_peak_bytes <= plan.budget_bytes &&
                         plan.shared_peak_bytes <= plan.shared_bytes;
      return holds ? 0 : 1;
    };
  });
}

}  // namespace faro::cli
