#include "faro/loader.hpp"

#include "comm/mpi.hpp"
#include "loader/session.hpp"

namespace faro {
namespace {

std::unique_ptr<comm::Communicator> world_of(MPI_Comm comm) {
  comm::ensure_mpi();
  return comm::from_mpi(comm);
}

}  // namespace

struct Loader::Impl : loader::Session {
  using Session::Session;
};

Loader::Loader(const Config& config, MPI_Comm comm, Log log)
    : impl_(std::make_unique<Impl>(config, world_of(comm), log, [&](comm::Communicator& world) {
        return loader::open_dataset(config, world, log);
      })) {}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

const Plan& Loader::plan() const noexcept {
  return impl_->plan();
}

bool Loader::begin_epoch() {
  return impl_->begin_epoch();
}

std::optional<Batch> Loader::next() {
  return impl_->next();
}

std::optional<Error> Loader::failure() const {
  return impl_->failure();
}

std::string Loader::shard(std::uint64_t sample) const {
  return impl_->shard(sample);
}

EpochStats Loader::epoch_stats() const {
  return impl_->epoch_stats();
}

LoaderStats Loader::stats() const {
  return impl_->stats();
}

Locality Loader::locality() const {
  return impl_->locality();
}

}  // namespace faro
