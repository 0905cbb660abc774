#include "consumer.hpp"

#include <fmt/format.h>

#include <list>

#include "loader/session.hpp"

namespace faro::sim {
namespace {

/// What a consumer of the user's throws.
struct UsersError {};

/// From here on a rank does not die. Ranks that have met at the end free their memory together:
/// where one dies between, the others wait for ever in MPI_Win_free, until the launcher ends them.
class Alive {
 public:
  Alive(Scheduler& scheduler, int rank) : scheduler_(scheduler), rank_(rank) {}
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  ~Alive() { scheduler_.live_on(rank_); }

 private:
  Scheduler& scheduler_;
  int rank_;
};

class Run {
 public:
  Run(const Scenario& scenario, Broken broken, int rank, Scheduler& scheduler, Report& report,
      Counts& counts)
      : scenario_(scenario),
        broken_(rank == scenario.ranks() - 1 ? broken : Broken::none),
        consumer_(scenario.consumers[static_cast<std::size_t>(rank)]),
        rank_(rank),
        scheduler_(scheduler),
        report_(report),
        counts_(counts) {}

  void epochs(loader::Session& session) {
    std::list<Batch> held;
    report_.plan = session.plan();
    while (session.begin_epoch()) {
      while (auto batch = session.next()) {
        take(*batch);
        held.push_back(std::move(*batch));
        if (!goes_on()) return;
        release(held);
        if (consumer_.pause > 0) {
          scheduler_.pause(seconds(scheduler_.random().real(0, consumer_.pause)));
        }
        const auto& plan = session.plan();
        if (broken_ == Broken::steps &&
            report_.batches + 1 == plan.steps * scenario_.config.epochs) {
          return;
        }
      }
      ++report_.epochs;
    }
    for (const auto& batch : held) check_bytes(batch);
    held.clear();
    const auto stats = session.stats();
    report_.store_bytes = stats.store_bytes;
    report_.retries = stats.retries;
    report_.hedges = stats.hedges;
    counts_["store: hedged"] += stats.hedges;
    counts_["store: hedge won"] += stats.hedges_won;
    counts_["bytes between nodes"] += stats.remote_bytes;
  }

 private:
  void take(const Batch& batch) {
    ++report_.batches;
    check_bytes(batch);
    const auto before = report_.samples.size();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      report_.samples.push_back(
          {batch.epoch(), batch.step(), batch.first_slot() + i, batch[i].number, batch[i].pad});
    }
    break_something(before);
  }

  void break_something(std::size_t before) {
    auto& samples = report_.samples;
    if (samples.size() - before < 2) return;
    auto& last = samples.back();
    if (broken_ == Broken::lost) samples.pop_back();
    if (broken_ == Broken::duplicate) last.number = samples[before].number;
    if (broken_ == Broken::order) std::swap(last.number, samples[before].number);
  }

  /// Whether the samples are those that the data set was made of.
  void check_bytes(const Batch& batch) const {
    for (const auto& sample : batch) {
      std::string_view expected = scenario_.data.content.at(sample.number);
      bool same = true;
      for (const auto& field : sample.fields) {
        const std::string_view bytes(reinterpret_cast<const char*>(field.bytes.data()),
                                     field.bytes.size());
        same = same && expected.substr(0, bytes.size()) == bytes;
        expected.remove_prefix(std::min(expected.size(), bytes.size()));
      }
      if (same && expected.empty()) continue;
      fail(fmt::format("guarantee 5: rank {} got other bytes than those of sample {} in step {}",
                       rank_, sample.number, batch.step()));
    }
  }

  void drop(std::list<Batch>& held, std::list<Batch>::iterator batch) {
    check_bytes(*batch);  // they must not have changed as long as it was held
    held.erase(batch);
  }

  void release(std::list<Batch>& held) {
    auto& random = scheduler_.random();
    if (consumer_.ending == Ending::overholds && report_.batches > consumer_.ends_after) return;
    // leases counts the batch that next() will return.
    while (!held.empty() && held.size() > consumer_.holds) drop(held, held.begin());
    for (auto at = held.begin(); at != held.end();) {
      const auto one = at++;
      if (random.chance(0.3)) drop(held, one);
    }
    // Age counts from the oldest: what is held longest must go though others went before it.
    while (!held.empty() && taken_before(held.front()) + 1 >= scenario_.config.leases) {
      drop(held, held.begin());
    }
  }

  /// How many batches came after one.
  [[nodiscard]] std::uint64_t taken_before(const Batch& batch) const {
    const auto& plan = report_.plan;
    const auto number = (batch.epoch() - scenario_.config.first_epoch) * plan.steps + batch.step();
    return report_.batches - number - 1;
  }

  /// Whether the consumer wants another batch.
  bool goes_on() {
    if (consumer_.ending == Ending::none || report_.batches <= consumer_.ends_after) return true;
    switch (consumer_.ending) {
      case Ending::leaves:
        ++counts_["consumer: leaves"];
        report_.left = true;
        return false;
      case Ending::throws:
        ++counts_["consumer: throws"];
        report_.left = true;
        throw UsersError();
      case Ending::falls_silent:
        if (report_.batches == consumer_.ends_after + 1) {
          ++counts_["consumer: falls silent"];
          scheduler_.pause(seconds(3 * scenario_.config.peer_timeout));
        }
        return true;
      default: return true;
    }
  }

  const Scenario& scenario_;
  Broken broken_;
  const Consumer consumer_;
  int rank_;
  Scheduler& scheduler_;
  Report& report_;
  Counts& counts_;
};

}  // namespace

void consume(const Scenario& scenario, Broken broken, std::unique_ptr<comm::Communicator> world,
             const std::shared_ptr<Store>& store, Scheduler& scheduler, Report& report,
             Counts& counts) {
  const int rank = world->rank();
  try {
    loader::Session session(scenario.config, std::move(world), {}, [&](comm::Communicator&) {
      loader::Dataset dataset;
      dataset.manifest = scenario.data.manifest;
      dataset.format = format::make_format(dataset.manifest.format);
      dataset.transports = store;
      return dataset;
    });
    const Alive until_the_loader_goes(scheduler, rank);
    if (rank == scenario.frozen) {
      std::optional<Clock::duration> time;
      if (scenario.frozen_for > 0) time = seconds(scenario.frozen_for);
      scheduler.freeze(rank, scheduler.now() + seconds(scenario.frozen_from), time);
    }
    try {
      Run(scenario, broken, rank, scheduler, report, counts).epochs(session);
    } catch (const Error& error) {
      report.error = error;
      report.thrown = scheduler.elapsed();
      if (error.code() == ErrorCode::invalid_argument) ++counts["consumer: overholds"];
      throw;
    }
  } catch (const UsersError&) {
  } catch (const Error& error) {
    report.error = error;
  } catch (const std::exception& error) {
    fail(fmt::format("rank {} throws {}", rank, error.what()));
  }
  if (broken == Broken::untold && rank == scenario.ranks() - 1) report.error.reset();
  if (broken == Broken::thread && rank == 0) {
    static Thread left;  // nobody joins it
    left = Thread("left", [&scheduler] { scheduler.pause(std::chrono::hours(1)); });
  }
  report.ended = scheduler.elapsed();
}

}  // namespace faro::sim
