// One rank's run over a data set: its epochs, batches and figures. What faro::Loader is made of, on
// any communicator.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/runtime.hpp"
#include "loader/dataset.hpp"
#include "loader/engine.hpp"

namespace faro::loader {

/// As faro::Loader, whose contract it keeps.
class Session {
 public:
  using Open = std::function<Dataset(comm::Communicator&)>;

  /// Collective.
  /// \param open gives the data set, collectively
  /// \param arrivals where other nodes' samples come into the memory of a device
  Session(const Config& given, std::unique_ptr<comm::Communicator> world, const Loader::Log& log,
          const Open& open, const std::optional<DeviceArrivals>& arrivals = {});

  [[nodiscard]] const Plan& plan() const noexcept { return run_.plan; }
  bool begin_epoch();
  std::optional<Batch> next();
  [[nodiscard]] std::optional<Error> failure() const { return engine_->failure(); }
  void agree(const std::optional<Error>& mine) { engine_->agree(mine); }
  /// The memory in which batches' bytes lie.
  [[nodiscard]] std::vector<std::span<std::byte>> memory() const { return engine_->memory(); }
  [[nodiscard]] placement::Mirror mirror() const { return engine_->mirror(); }
  [[nodiscard]] std::string shard(std::uint64_t sample) const;
  [[nodiscard]] EpochStats epoch_stats() const;
  [[nodiscard]] LoaderStats stats() const;
  [[nodiscard]] Locality locality() const { return engine_->locality(); }

 private:
  void end_epoch();

  const Config config_;
  const Loader::Log log_;
  const std::unique_ptr<comm::Communicator> world_;
  std::unique_ptr<comm::Communicator> node_;
  Dataset dataset_;
  RunPlan run_;
  std::optional<Engine> engine_;

  std::uint64_t begun_ = 0;  // epochs
  std::uint64_t step_ = 0;   // of the current epoch
  bool open_ = false;        // an epoch is under way
  Clock::time_point epoch_start_;
  EpochStats epoch_;
};

}  // namespace faro::loader
