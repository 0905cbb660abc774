// The exchange on one node beside other ways to bring the same samples to the same slots: bytes
// delivered in order, over a memcpy of as many ranks at once. Driven by exchange.py.
//
//     mpirun -n RANKS exchange_bench DATA GLOBAL_BATCH REPETITIONS SECONDS [WAY]
//
// The data set is read before anything is timed (window = full keeps it). All ways run in turn, in
// one process each rank, with the same order; rank 0 prints one line of JSON with what each
// repetition took. WAY: that one alone, for a profiler.
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/crc32c.hpp"
#include "base/error.hpp"
#include "comm/mpi.hpp"
#include "exchange/schedule.hpp"
#include "exchange_ways.hpp"
#include "faro/loader.hpp"
#include "loader/dataset.hpp"

namespace bench {
namespace {

using namespace faro;

struct Time {
  double seconds = 0;      // of the slowest rank
  double cpu_seconds = 0;  // of all ranks
};

double cpu_now() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Time timed(const std::function<void()>& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double cpu = cpu_now();
  const double start = MPI_Wtime();
  work();
  double mine = MPI_Wtime() - start;
  Time time;
  MPI_Allreduce(&mine, &time.seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  mine = cpu_now() - cpu;
  MPI_Allreduce(&mine, &time.cpu_seconds, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  return time;
}

/// A consumer that reads every byte: as little work as that can be.
std::uint64_t sum(std::span<const std::byte> bytes) {
  std::uint64_t total = 0;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    total += word;
  }
  for (; i < bytes.size(); ++i) total += std::to_integer<std::uint64_t>(bytes[i]);
  return total;
}

/// This rank's samples without their headers, and where every rank has each of its own.
struct Placed {
  std::vector<std::uint64_t> bytes;  // by sample
  std::vector<std::uint64_t> at;     // by sample: in its reader's memory
  std::vector<std::byte> own;
};

/// Reads this rank's blocks a second time: the loader keeps its own.
Placed place(const loader::Dataset& dataset, const exchange::EpochPlan& plan,
             comm::Communicator& world) {
  const auto& manifest = dataset.manifest;
  Placed placed{std::vector<std::uint64_t>(manifest.samples),
                std::vector<std::uint64_t>(manifest.samples),
                {}};
  std::vector<std::byte> memory;
  std::vector<format::Extent> extents;
  format::ParsedSample parsed;
  for (std::uint64_t turn = 0; turn < plan.order.turns(); ++turn) {
    if (plan.order.reader(turn) != static_cast<std::uint32_t>(world.rank())) continue;
    const auto& block = manifest.blocks[plan.order.block(turn)];
    const auto& shard = manifest.shards[block.shard];
    memory.resize(block.length);
    FILE* file = std::fopen(shard.uri.substr(shard.uri.find("://") + 3).c_str(), "rb");
    if (file == nullptr) file = std::fopen(shard.uri.c_str(), "rb");
    check(file != nullptr, ErrorCode::io, "{}: no file of this machine", shard.uri);
    std::fseek(file, static_cast<long>(block.offset), SEEK_SET);
    const auto got = std::fread(memory.data(), 1, memory.size(), file);
    std::fclose(file);
    check(got == memory.size(), ErrorCode::io, "{}: cut short", shard.uri);
    extents.resize(block.count);
    format::split(*dataset.format, memory, block.offset,
                  {block.offset == 0, block.offset + block.length == shard.size}, extents);
    for (std::uint64_t i = 0; i < block.count; ++i) {
      const auto number = block.first_sample + i;
      dataset.format->fields(std::span(memory).subspan(extents[i].offset, extents[i].length),
                             number, block.offset == 0 && i == 0, parsed);
      placed.at[number] = placed.own.size();
      for (const auto& field : parsed.fields) {
        placed.own.insert(placed.own.end(), field.bytes.begin(), field.bytes.end());
        placed.bytes[number] += field.bytes.size();
      }
    }
  }
  world.all_reduce(placed.bytes, comm::Op::sum);
  world.all_reduce(placed.at, comm::Op::sum);
  return placed;
}

/// The rounds of an epoch as this rank sees them.
std::vector<Round> route(const manifest::Manifest& manifest, exchange::Schedule& schedule,
                         const Placed& placed, const Buffer& own, int rank) {
  const auto plan = schedule.epoch(0);
  const order::WindowOrder window(plan->order, 0);
  const auto ranks = schedule.options().ranks;
  std::vector<Round> rounds(schedule.rounds() / schedule.options().epochs);
  for (std::uint64_t r = 0; r < rounds.size(); ++r) {
    auto& mine = rounds[r];
    const auto span = schedule.round(r);
    for (std::uint32_t to = 0; to < ranks; ++to) {
      int slot = 0;
      for (auto step = span.first_step; step < span.last_step; ++step) {
        const auto slice = plan->steps.slice(step, to);
        for (auto s = slice.first; s < slice.last; ++s, ++slot) {
          const auto where = window.place(plan->steps.position(step, s));
          const auto number =
              manifest.blocks[plan->order.block(where.turn)].first_sample + where.index;
          const auto from = static_cast<int>(plan->order.reader(where.turn));
          const auto bytes = placed.bytes[number];
          if (from == rank) {
            mine.outgoing.push_back(
                {static_cast<int>(to), own.data() + placed.at[number], bytes, slot});
          }
          if (to == static_cast<std::uint32_t>(rank)) {
            mine.slots.push_back({from, mine.bytes, placed.at[number], bytes});
            mine.bytes += bytes;
          }
        }
      }
    }
  }
  return rounds;
}

class Bench {
 public:
  Bench(const Config& config, std::uint64_t repetitions, double seconds)
      : config_(config),
        repetitions_(repetitions),
        seconds_(seconds),
        world_(comm::from_mpi(MPI_COMM_WORLD)) {}

  /// \param only a way, or empty for all
  nlohmann::ordered_json run(const std::string& only) {
    const auto dataset = loader::open_dataset(config_, *world_, {});
    Loader faro(config_);
    loader_ = &faro;
    const auto& plan = faro.plan();
    check(plan.resident, ErrorCode::invalid_argument, "the window is not the whole data set");
    exchange::Schedule schedule(
        dataset.manifest,
        {config_.seed, config_.first_epoch, 1, plan.window_bytes, config_.global_batch, config_.end,
         static_cast<std::uint32_t>(plan.ranks), others_steps(), config_.leases,
         std::uint64_t{1} << 40, true});
    const auto placed = place(dataset, *schedule.epoch(0), *world_);
    const Buffer own(placed.own.size());
    std::memcpy(own.data(), placed.own.data(), placed.own.size());
    rounds_ = route(dataset.manifest, schedule, placed, own, world_->rank());
    ways_.emplace(MPI_COMM_WORLD, own, rounds_);
    compare();

    std::map<std::string, std::function<void()>> all{
        {"memcpy", [&] { each(&Ways::copy, false); }},
        {"faro, in place", [&] { deliver(Consume::nothing); }},
        {"faro, in place, read", [&] { deliver(Consume::sum); }},
        {"faro, gather", [&] { deliver(Consume::gather); }},
        {"faro, gather, read", [&] { deliver(Consume::gather_and_sum); }},
        {"alltoallv", [&] { each(&Ways::all_to_all, false); }},
        {"alltoallv, read", [&] { each(&Ways::all_to_all, true); }},
        {"message each", [&] { each(&Ways::message_each, false); }},
        {"message each, read", [&] { each(&Ways::message_each, true); }},
        {"get each", [&] { each(&Ways::get_each, false); }},
        {"get each, read", [&] { each(&Ways::get_each, true); }},
    };
    if (!only.empty()) std::erase_if(all, [&](const auto& way) { return way.first != only; });
    nlohmann::ordered_json result{{"ranks", plan.ranks},
                                  {"samples", plan.samples_per_epoch},
                                  {"steps", plan.steps},
                                  {"steps_per_round", plan.steps_per_round},
                                  {"steps_per_round_of_others", others_steps()},
                                  {"local_batch", config_.global_batch / plan.ranks}};
    std::uint64_t bytes = 0;
    for (const auto& round : rounds_) bytes += round.bytes;
    std::vector<std::uint64_t> total{bytes};
    world_->all_reduce(total, comm::Op::sum);
    result["bytes"] = total[0];
    std::map<std::string, std::uint64_t> epochs;
    for (const auto& [name, way] : all) {
      way();
      const auto once = timed(way);
      epochs[name] =
          std::clamp<std::uint64_t>(static_cast<std::uint64_t>(seconds_ / once.seconds), 1, 2000);
    }
    for (std::uint64_t i = 0; i < repetitions_; ++i) {
      for (const auto& [name, way] : all) {
        const auto count = epochs[name];
        const auto time = timed([&] {
          for (std::uint64_t e = 0; e < count; ++e) way();
        });
        const auto scale = 1.0 / static_cast<double>(count);
        result["ways"][name]["seconds"].push_back(time.seconds * scale);
        result["ways"][name]["cpu_seconds"].push_back(time.cpu_seconds * scale);
      }
    }
    result["sum"] = sum_;  // so that no reading is left out
    ways_.reset();
    return result;
  }

 private:
  enum class Consume { nothing, sum, gather, gather_and_sum };

  /// An epoch of the loader.
  void deliver(Consume consume) {
    check(loader_->begin_epoch(), ErrorCode::internal, "no epoch is left");
    while (const auto batch = loader_->next()) {
      if (consume == Consume::nothing) {
        for (const auto& sample : *batch) {
          for (const auto& field : sample.fields) {
            sum_ += reinterpret_cast<std::uintptr_t>(field.bytes.data());
          }
        }
      } else if (consume == Consume::sum) {
        for (const auto& sample : *batch) {
          for (const auto& field : sample.fields) sum_ += sum(field.bytes);
        }
      } else {
        const auto bytes = batch->gather("", ways_->memory());
        if (consume == Consume::gather_and_sum) sum_ += sum(ways_->memory().first(bytes));
      }
    }
  }

  /// Steps that the other ways exchange at once: 1,024 samples a rank, few enough for caches where
  /// samples are small.
  [[nodiscard]] std::uint64_t others_steps() const {
    const auto local = config_.global_batch / static_cast<std::uint64_t>(world_->size());
    return std::clamp<std::uint64_t>(1024 / local, 1, 16);
  }

  /// An epoch of another way.
  void each(void (Ways::*way)(const Round&), bool read) {
    for (const auto& round : rounds_) {
      ((*ways_).*way)(round);
      if (read) sum_ += sum(ways_->out(round));
    }
  }

  /// All ways deliver the same bytes in the same order.
  void compare() {
    std::vector<std::uint32_t> expected(rounds_.size());
    check(loader_->begin_epoch(), ErrorCode::internal, "no epoch");
    std::vector<std::byte> bytes;
    while (const auto batch = loader_->next()) {
      bytes.resize(batch->bytes(""));
      batch->gather("", bytes);
      auto& crc = expected[batch->step() / others_steps()];
      crc = crc32c(bytes, crc);
    }
    for (const auto way : {&Ways::all_to_all, &Ways::message_each, &Ways::get_each}) {
      for (std::size_t r = 0; r < rounds_.size(); ++r) {
        std::memset(ways_->memory().data(), 0, rounds_[r].bytes);
        MPI_Barrier(MPI_COMM_WORLD);
        ((*ways_).*way)(rounds_[r]);
        check(crc32c(ways_->out(rounds_[r])) == expected[r], ErrorCode::internal,
              "round {} has other bytes than faro's", r);
      }
    }
  }

  Config config_;
  std::uint64_t repetitions_;
  double seconds_;
  std::unique_ptr<comm::Communicator> world_;
  Loader* loader_ = nullptr;
  std::vector<Round> rounds_;
  std::optional<Ways> ways_;
  std::uint64_t sum_ = 0;
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  int level = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: exchange_bench DATA GLOBAL_BATCH REPETITIONS SECONDS [WAY]\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  try {
    faro::Config config;
    config.data = argv[1];
    config.global_batch = std::strtoull(argv[2], nullptr, 10);
    config.window.kind = faro::Window::Kind::full;
    config.memory = std::uint64_t{2} << 30;
    config.epochs = 1'000'000;
    config.max_requests = 4;
    const auto result =
        bench::Bench(config, std::strtoull(argv[3], nullptr, 10), std::atof(argv[4]))
            .run(argc == 6 ? argv[5] : "");
    if (faro::comm::job_rank() == 0) std::printf("%s\n", result.dump().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "exchange_bench: %s\n", error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}
