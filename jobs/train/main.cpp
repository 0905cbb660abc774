// Trains a small net on Fashion-MNIST, data-parallel: mpirun -n 4 faro_train TRAIN --test TEST
//
// The same global batches in the same order on any number of ranks, so the same losses but for
// rounding. faro::TensorLoader brings the samples, faro::GradientSync sums the gradients.
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <faro/gradient_sync.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include "net.hpp"
#include "source.hpp"
#include "trace.hpp"

namespace train {
namespace {

struct Options {
  SourceOptions source;
  std::string test;
  std::string shuffle = "faro";
  float rate = 0.02F;
  float momentum = 0.9F;
  std::uint64_t max_steps = 0;
  std::string log;
  std::string trace;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("data", options.source.data, "training shards, as faro's DATA")->required();
  app.add_option("--test", options.test, "test shards: accuracy after every epoch");
  app.add_option("--epochs", options.source.epochs, "")->capture_default_str();
  app.add_option("--global-batch", options.source.global_batch, "samples of a step, all ranks")
      ->capture_default_str();
  app.add_option("--lr", options.rate, "learning rate; falls to 0 with a cosine")
      ->capture_default_str();
  app.add_option("--momentum", options.momentum, "")->capture_default_str();
  app.add_option("--seed", options.source.seed, "of the order and of the first weights")
      ->capture_default_str();
  app.add_option("--max-steps", options.max_steps, "ends early; 0: not")->capture_default_str();
  app.add_option("--device", options.source.device,
                 "auto: a GPU for each rank, where every rank can have one, else the host")
      ->check(CLI::IsMember({"auto", "host", "cuda"}))
      ->capture_default_str();
  app.add_option("--shuffle", options.shuffle,
                 "faro, or memory: every rank reads everything and shuffles indices")
      ->check(CLI::IsMember({"faro", "memory"}))
      ->capture_default_str();
  app.add_option("--log", options.log, "JSON lines: a step's loss, an epoch's accuracy");
  app.add_option("--trace", options.trace, "FILE.RANK.json: when gradients were summed");
}

/// Lines on rank 0 alone.
class Log {
 public:
  Log(const std::string& file, int rank) : rank_(rank) {
    if (rank == 0 && !file.empty()) {
      file_.open(file);
      if (!file_) throw faro::Error(faro::ErrorCode::io, file + " cannot be written");
    }
  }
  void write(const nlohmann::json& line) {
    if (file_.is_open()) file_ << line.dump() << std::endl;
  }
  template <class... Args>
  void say(const char* format, Args... args) {
    if (rank_ != 0) return;
    std::printf(format, args...);
    std::fflush(stdout);
  }

 private:
  int rank_;
  std::ofstream file_;
};

/// Every rank's text, on rank 0.
std::vector<std::string> of_all_ranks(const std::string& mine, int rank, int ranks) {
  auto length = static_cast<int>(mine.size());
  std::vector<int> lengths(static_cast<std::size_t>(ranks));
  MPI_Gather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0, MPI_COMM_WORLD);
  if (rank != 0) lengths.clear();
  std::vector<int> begins(lengths.size());
  std::exclusive_scan(lengths.begin(), lengths.end(), begins.begin(), 0);
  std::string all(lengths.empty() ? 0 : static_cast<std::size_t>(begins.back() + lengths.back()),
                  ' ');
  MPI_Gatherv(mine.data(), length, MPI_CHAR, all.data(), lengths.data(), begins.data(), MPI_CHAR, 0,
              MPI_COMM_WORLD);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    texts.push_back(
        all.substr(static_cast<std::size_t>(begins[i]), static_cast<std::size_t>(lengths[i])));
  }
  return texts;
}

/// Where each rank's tensors lie, and by which way they come: a line for ranks that say the same.
void tell_places(Log& log, const std::vector<std::string>& places) {
  for (std::size_t first = 0, end = 0; first < places.size(); first = end) {
    while (end < places.size() && places[end] == places[first]) ++end;
    const auto who = end - first == places.size() ? std::string()
                     : end - first == 1
                         ? " of rank " + std::to_string(first)
                         : " of ranks " + std::to_string(first) + " to " + std::to_string(end - 1);
    log.say("tensors%s: %s\n", who.c_str(), places[first].c_str());
  }
  log.write({{"placement", places}});
}

/// The net where the images are; where a rank cannot make it, an error on all.
std::unique_ptr<Net> make_net(std::uint64_t seed, int device, int rank, int ranks) {
  std::unique_ptr<Net> net;
  std::string why;
  try {
    net = device < 0 ? make_host_net(seed) : make_cuda_net(seed, device);
  } catch (const std::exception& error) {
    why = error.what();
    std::fprintf(stderr, "faro_train: rank %d: %s\n", rank, why.c_str());
  }
  int first = net ? ranks : rank;
  MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (first < ranks) {
    throw faro::Error(faro::ErrorCode::device, "the net could not be made on all ranks", first);
  }
  return net;
}

/// The net's gradients and, as one more parameter, its loss: their means come together.
faro::GradientSync sync_of(Net& net, faro::GradientSyncOptions how) {
  std::vector<faro::GradientParameter> what;
  for (const auto& parameter : parameters()) {
    what.push_back({parameter.name, nullptr, parameter.elements, faro::GradientType::f32});
  }
  what.push_back({"loss", nullptr, 1, faro::GradientType::f32});
  how.first_bucket_bytes = 256U << 10;  // the net is small: the last layers, then the first one
  how.device = net.device();            // gradients lie where the net computes them,
  how.stream = net.stream();            // and are there when this stream has come so far
  faro::GradientSync sync(what, how);
  std::vector<float*> memory;
  for (std::size_t p = 0; p < what.size(); ++p) memory.push_back(sync.gradient(p).data());
  net.set_gradients({memory.begin(), memory.end() - 1}, memory.back());
  sync.broadcast(net.values());
  return sync;
}

/// A step of a GradientSync around `work`. What fails on this rank alone, as CUDA does, all ranks
/// get from wait().
template <class Work>
void step_of(faro::GradientSync& sync, Work&& work) {
  try {
    work();
  } catch (const faro::Error& error) {
    sync.fail(error);
  }
  sync.wait();
}

/// The fraction of the test samples that the net gets right: each counts once, so it is the same
/// number whatever the number of ranks. Counts are summed as gradients are (exactly, up to 2^24):
/// where a rank is lost the others get an error, and do not wait for ever.
class Accuracy {
 public:
  double of(Net& net, Source& test) {
    const auto counts = sync_.gradient(0);
    step_of(sync_, [&] {
      std::uint64_t all = 0;
      std::optional<faro::Error> error;
      test.begin_epoch();
      while (auto images = test.next()) {  // collective: also of a rank that cannot go on
        try {
          all += images->counted();
          if (!error) net.count_right(*images);
        } catch (const faro::Error& of_this_rank) {
          error = of_this_rank;
        }
      }
      if (error) throw faro::Error(*error);
      counts[0] = static_cast<float>(net.take_right());
      counts[1] = static_cast<float>(all);
      sync_.ready(0);
    });
    return static_cast<double>(counts[0]) / static_cast<double>(counts[1]);
  }

 private:
  static faro::GradientSyncOptions sums() {
    faro::GradientSyncOptions options;
    options.reduction = faro::Reduction::sum;
    return options;
  }
  faro::GradientSync sync_{{{"right, all", nullptr, 2}}, sums()};
};

void run(const Options& options, int rank, int ranks) {
  Log log(options.log, rank);
  const auto data =
      options.shuffle == "faro" ? from_faro(options.source) : from_memory(options.source);
  auto of_test = options.source;
  of_test.data = options.test;
  if (data->device() < 0) of_test.device = "host";
  const auto test = options.test.empty() ? nullptr : from_faro(of_test);

  const auto net = make_net(options.source.seed, data->device(), rank, ranks);
  Trace trace;
  faro::GradientSyncOptions how;
  if (!options.trace.empty()) how.trace = [&](const auto& event) { trace.add(event); };
  auto sync = sync_of(*net, how);
  const std::size_t loss_parameter = parameters().size();
  Accuracy accuracy;
  log.say("%d ranks, %llu samples in %llu steps of %llu an epoch\n", ranks,
          static_cast<unsigned long long>(data->samples()),
          static_cast<unsigned long long>(data->steps()),
          static_cast<unsigned long long>(options.source.global_batch));
  tell_places(log, of_all_ranks(data->place(), rank, ranks));
  log.say("gradients: %s\n", sync.describe().c_str());

  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::uint64_t all_steps = options.source.epochs * data->steps();
  const std::uint64_t last = options.max_steps == 0 ? all_steps : options.max_steps;
  std::uint64_t step = 0;
  double right = 0;
  for (std::uint64_t epoch = 0; step < last && data->begin_epoch(); ++epoch) {
    const std::uint64_t before = step;
    std::uint64_t told = step;  // steps whose loss is known
    double sum = 0;             // of their losses, over the epoch
    const auto mean_loss = [&] {
      for (const float loss : net->take_losses()) {
        log.write({{"step", told++}, {"epoch", epoch}, {"loss", loss}});
        sum += loss;
      }
      return sum / static_cast<double>(told - before);
    };
    while (auto images = step < last ? data->next() : std::nullopt) {
      sync.set_weight(images->counted());
      step_of(sync, [&] {
        net->forward(*images);
        sync.ready(loss_parameter);
        net->backward(*images, [&](std::size_t parameter) { sync.ready(parameter); });
      });
      const double part = static_cast<double>(step) / static_cast<double>(all_steps);
      net->update(options.rate * static_cast<float>(0.5 * (1 + std::cos(std::numbers::pi * part))),
                  options.momentum);
      net->keep_loss();
      // Now and then: a GPU has to be waited for.
      if ((++step - before) % 100 == 0) {
        log.say("  epoch %llu, step %llu of %llu: loss %.4f\n",
                static_cast<unsigned long long>(epoch + 1),
                static_cast<unsigned long long>(step - before),
                static_cast<unsigned long long>(data->steps()), mean_loss());
      }
    }
    const double loss = mean_loss();
    log.say("epoch %llu: loss %.4f", static_cast<unsigned long long>(epoch + 1), loss);
    nlohmann::json line{{"epoch", epoch}, {"mean_loss", loss}, {"seconds", seconds()}};
    if (test) {
      line["accuracy"] = right = accuracy.of(*net, *test);
      log.say(", test accuracy %.2f %% of %llu images", 100 * right,
              static_cast<unsigned long long>(test->samples()));
    }
    log.say(", %.1f s\n", seconds());
    log.write(line);
  }
  if (test) log.say("trained: test accuracy %.2f %% in %.1f s\n", 100 * right, seconds());
  if (!options.trace.empty()) {
    trace.write(options.trace + "." + std::to_string(rank) + ".json", rank);
  }
}

}  // namespace
}  // namespace train

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  int rank = 0;
  int ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  int status = EXIT_SUCCESS;
  try {
    train::Options options;
    CLI::App app("Trains a 784-256-128-10 net on 28 x 28 grey PNGs (png) with labels (cls).");
    train::add_options(app, options);
    try {
      app.parse(argc, argv);
      train::run(options, rank, ranks);
    } catch (const CLI::ParseError& error) {
      if (rank == 0) status = app.exit(error);
    }
  } catch (const faro::Error& error) {
    // The same error on every rank: nobody is left waiting.
    if (rank == 0) {
      std::fprintf(stderr, "faro_train: error (%s, rank %d): %s\n",
                   std::string(faro::to_string(error.code())).c_str(), error.rank(), error.what());
    }
    status = EXIT_FAILURE;
  }
  MPI_Finalize();
  return status;
}
