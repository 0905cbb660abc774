#include "faro/tensor_loader.hpp"

#include "comm/mpi.hpp"
#include "loader/tensor_session.hpp"

namespace faro {
namespace {

std::unique_ptr<comm::Communicator> world_of(MPI_Comm comm) {
  comm::ensure_mpi();
  return comm::from_mpi(comm);
}

}  // namespace

struct TensorLoader::Impl : loader::TensorSession {
  using TensorSession::TensorSession;
};

TensorLoader::TensorLoader(const Config& config, const TensorConfig& tensors, MPI_Comm comm,
                           Loader::Log log)
    : impl_(std::make_unique<Impl>(
          config, tensors, world_of(comm), log,
          [&](comm::Communicator& world) { return loader::open_dataset(config, world, log); },
          loader::choose_place)) {}
TensorLoader::~TensorLoader() = default;
TensorLoader::TensorLoader(TensorLoader&&) noexcept = default;
TensorLoader& TensorLoader::operator=(TensorLoader&&) noexcept = default;

const Plan& TensorLoader::plan() const noexcept {
  return impl_->plan();
}

const TensorPlan& TensorLoader::tensor_plan() const noexcept {
  return impl_->tensor_plan();
}

int TensorLoader::device() const noexcept {
  return impl_->device();
}

bool TensorLoader::begin_epoch() {
  return impl_->begin_epoch();
}

std::optional<TensorBatch> TensorLoader::next() {
  return impl_->next();
}

EpochStats TensorLoader::epoch_stats() const {
  return impl_->epoch_stats();
}

LoaderStats TensorLoader::stats() const {
  return impl_->stats();
}

TensorStats TensorLoader::tensor_stats() const noexcept {
  return impl_->tensor_stats();
}

}  // namespace faro
