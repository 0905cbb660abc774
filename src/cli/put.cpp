#include "pack/put.hpp"

#include <chrono>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/describe.hpp"
#include "cli/report.hpp"
#include "cli/stop.hpp"
#include "comm/mpi.hpp"
#include "telemetry/progress.hpp"

namespace faro::cli {
namespace {

nlohmann::ordered_json to_json(const pack::PutResult& result, const std::string& output, int ranks,
                               double seconds) {
  return {{"faro", FARO_VERSION},
          {"output", store::redacted(output)},
          {"data", result.data},
          {"ranks", ranks},
          {"files", result.files},
          {"bytes", result.bytes},
          {"parts", result.parts},
          {"store_requests", result.requests},
          {"retries", result.retries},
          {"seconds", seconds},
          {"bytes_per_second", per_second(result.bytes, seconds)}};
}

int put(const pack::PutOptions& options, const std::string& report, comm::Communicator& comm) {
  telemetry::Progress progress(comm.rank() == 0);
  bool begun = false;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const auto result = pack::put(options, comm, [&](std::uint64_t bytes, std::uint64_t total) {
    if (!begun) progress.begin("copying", total);
    begun = true;
    progress.update(bytes, fmt::format("{}, {}/s", human_bytes(static_cast<double>(bytes)),
                                       human_bytes(per_second(bytes, seconds()))));
  });
  const double took = seconds();
  progress.end(fmt::format("put {} files of {} in all, {}/s: {}", result.files,
                           human_bytes(static_cast<double>(result.bytes)),
                           human_bytes(per_second(result.bytes, took)), result.data));
  comm::together(comm, [&] {
    if (comm.rank() != 0 || report.empty()) return;
    write_json(report, to_json(result, options.output, comm.size(), took));
  });
  return 0;
}

}  // namespace

void add_put(CLI::App& app, Action& chosen) {
  auto* command = app.add_subcommand("put", "Copy shards into an object store, in parallel");
  command->footer(
      "\nFILES are files, directories, globs, quoted brace patterns or @FILE with a list; a file "
      "NAME\n"
      "becomes s3://BUCKET/PREFIX/NAME. Their parts (8 MiB, more for files over 80 GB) are dealt "
      "over\n"
      "the ranks, and the store checks the SHA-256 of each. All objects appear in the end, or "
      "none\n"
      "does: an error or Ctrl-C leaves no upload behind. What is printed last is the DATA for the "
      "other\n"
      "commands. Credentials and endpoint are those of AWS's tools (AWS_ACCESS_KEY_ID and so on,\n"
      "AWS_ENDPOINT_URL, ~/.aws). The bucket must exist.\n"
      "  mpirun -n 4 faro put shards/ s3://bucket/train\n"
      "  faro put 'shards/train-{000..127}.tar' s3://bucket/train --endpoint-url "
      "https://s3.centre.example\n");
  auto config = std::make_shared<Config>();
  auto chosen_options = std::make_shared<pack::PutOptions>();
  auto words = std::make_shared<std::vector<std::string>>();
  auto report = std::make_shared<std::string>();
  command->add_option("FILES", *words, "what is copied, and then s3://BUCKET/PREFIX")
      ->type_name(" ");
  auto settings = store_settings(*config);
  settings.push_back({"force", "", "replace objects that exist",
                      [chosen_options](std::string_view given) {
                        chosen_options->force = config::parse_switch(given);
                      },
                      "Output"});
  settings.push_back({"report", "FILE", "JSON with what was copied, and how fast",
                      [report](std::string_view given) { *report = given; }, "Output"});
  auto options = std::make_shared<Options>(*command, std::move(settings));
  command->callback([=, &chosen] {
    chosen = [=] {
      const StopOnSignal stop;
      auto comm = comm::from_mpi(MPI_COMM_WORLD);
      options->apply(*comm);
      auto& o = *chosen_options;
      comm::together(*comm, [&] {
        check(words->size() >= 2, ErrorCode::invalid_argument,
              "FILES and s3://BUCKET/PREFIX are wanted: `faro put --help`");
      });
      o.sources.assign(words->begin(), words->end() - 1);
      o.output = words->back();
      o.store = store::options_of(*config);
      o.store.ranks = static_cast<unsigned>(comm->size());
      o.checkpoint = [&stop] { stop.check(); };
      return put(o, *report, *comm);
    };
  });
}

}  // namespace faro::cli
