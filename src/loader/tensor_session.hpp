// One rank's run over a data set as tensors: a Session, and the transforms behind it. What
// faro::TensorLoader is made of, on any communicator and device.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cuda/device.hpp"
#include "faro/tensor_loader.hpp"
#include "loader/device.hpp"
#include "loader/session.hpp"
#include "placement/placement.hpp"

namespace faro::loader {

/// Where a rank's tensors lie.
struct Place {
  DeviceChoice choice;
  std::shared_ptr<cuda::Device> device;  ///< nullptr: host memory
  std::optional<bool> mpi_says = {};     ///< whether it takes device memory, by its own word
};
using ChoosePlace = std::function<Place(const std::string& asked, comm::Communicator& world,
                                        comm::Communicator& node)>;

/// choose_device(), and the device made ready. Its errors.
[[nodiscard]] Place choose_place(const std::string& asked, comm::Communicator& world,
                                 comm::Communicator& node);

/// As faro::TensorLoader, whose contract it keeps.
class TensorSession {
 public:
  /// Collective.
  /// \param open gives the data set, collectively
  /// \param choose where tensors lie, collectively
  TensorSession(const Config& given, const TensorConfig& tensors,
                std::unique_ptr<comm::Communicator> world, const Loader::Log& log,
                const Session::Open& open, const ChoosePlace& choose);
  TensorSession(const TensorSession&) = delete;
  TensorSession& operator=(const TensorSession&) = delete;

  [[nodiscard]] const Plan& plan() const noexcept { return session_->plan(); }
  [[nodiscard]] const TensorPlan& tensor_plan() const noexcept { return plan_; }
  [[nodiscard]] int device() const noexcept { return place_.choice.number; }
  bool begin_epoch();
  [[nodiscard]] std::optional<TensorBatch> next();
  [[nodiscard]] EpochStats epoch_stats() const { return session_->epoch_stats(); }
  [[nodiscard]] LoaderStats stats() const { return session_->stats(); }
  [[nodiscard]] TensorStats tensor_stats() const noexcept;

 private:
  void plan_tensors(placement::Options& options);
  void place_tensors(placement::Options options);
  bool begin_next();
  /// The error of the work, if any, which ends the run with the next agreement.
  template <class Work>
  void attempt(Work&& work);

  const Config config_;
  const Loader::Log log_;
  const std::unique_ptr<comm::Communicator> world_;
  Place place_;
  ArrivalChoice arrivals_;
  TensorPlan plan_;
  std::optional<Session> session_;
  std::unique_ptr<placement::Placement> placement_;  // goes first: it has locked the memory above

  std::uint64_t key_ = 0;
  std::uint64_t begun_ = 0;     // steps of the current epoch
  bool open_ = false;           // an epoch is under way
  bool pending_ = false;        // a batch is begun
  std::optional<Error> error_;  // of beginning it
  TensorStats stats_;
};

}  // namespace faro::loader
