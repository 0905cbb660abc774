// The `faro` command. Every rank runs all of it; rank 0 speaks.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "comm/mpi.hpp"
#include "cuda/backend.hpp"

namespace {

constexpr const char* about =
    "faro reads shards from a store on many MPI ranks, shuffles their samples over all of them, "
    "and\n"
    "delivers every rank its batches: each epoch a true global shuffle, each byte read once.\n";
constexpr const char* examples =
    "\nFrom images to batches:\n"
    "  faro pack fashion-mnist/ shards/                     images into tar shards\n"
    "  faro put shards/ s3://bucket/train                   shards into an object store\n"
    "  faro index shards/                                   find samples and record checksums\n"
    "  faro plan shards/ --global-batch 256 --window 1G     what a run takes, before it reads\n"
    "  mpirun -n 4 faro run shards/ --epochs 3 --global-batch 256 --verify --report report.json\n"
    "\n`faro COMMAND --help` explains each. Exit codes: 0 done, 1 failed, 2 unusable arguments.\n";

std::string version() {
  const auto cuda = faro::cuda::probe();
  return fmt::format("faro {}\nCUDA: {}", FARO_VERSION, cuda.why);
}

// Rank 0, or where it may be the one that is silent, all.
bool speaks(const faro::Error& error) {
  return faro::comm::job_rank() <= 0 ||
         (error.code() == faro::ErrorCode::peer && error.rank() <= 0);
}

}  // namespace

int faro::cli::report_error(const Error& error) {
  if (speaks(error)) {
    fmt::print(stderr, "faro: error ({}{}): {}\n", to_string(error.code()),
               error.rank() >= 0 ? fmt::format(", rank {}", error.rank()) : "", error.what());
    std::fflush(stderr);
  }
  return error.code() == ErrorCode::invalid_argument ? 2 : 1;
}

void faro::cli::end_without_peer(const Error& error) {
  static std::mutex speaking;
  speaking.lock();  // for good: a second thread has nothing to add
  // A launcher ends all ranks as soon as one aborts, and passes on only what it has read by then.
  const double seconds = speaks(error) ? 0.2 : 2;
  const int code = report_error(error);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  comm::abort_job(code);
}

int main(int argc, char** argv) {
  CLI::App app(about, "faro");
  app.set_version_flag("--version", version, "Print versions and what GPU backend there is");
  app.require_subcommand(1);
  app.footer(examples);
  app.get_formatter()->column_width(36);
  faro::cli::Action chosen;
  faro::cli::add_pack(app, chosen);
  faro::cli::add_put(app, chosen);
  faro::cli::add_index(app, chosen);
  faro::cli::add_plan(app, chosen);
  faro::cli::add_topo(app, chosen);
  faro::cli::add_run(app, chosen);
  faro::cli::add_verify(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = faro::comm::launcher_rank() > 0 ? error.get_exit_code() : app.exit(error);
    if (code == 0) return 0;  // --help, --version
    // Rank 0 alone speaks. A launcher ends all ranks as soon as one has failed: the end of MPI is
    // where the others wait until it has.
    chosen = [] { return 2; };
  }
  try {
    faro::comm::ensure_mpi();
    return chosen();
  } catch (const faro::Error& error) {
    return faro::cli::report_error(error);
  } catch (const std::exception& error) {
    return faro::cli::report_error(
        {faro::ErrorCode::internal, error.what(), faro::comm::job_rank()});
  }
}
