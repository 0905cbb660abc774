#include "faro/gradient_sync.hpp"

#include <utility>

#include "comm/mpi.hpp"
#include "sync/session.hpp"

namespace faro {

struct GradientSync::Impl : sync::Session {
  using sync::Session::Session;
};

GradientSync::GradientSync(std::vector<GradientParameter> parameters,
                           const GradientSyncOptions& options, MPI_Comm comm) {
  comm::ensure_mpi();
  impl_ = std::make_unique<Impl>(std::move(parameters), options, comm::from_mpi(comm));
}

GradientSync::~GradientSync() = default;
GradientSync::GradientSync(GradientSync&&) noexcept = default;
GradientSync& GradientSync::operator=(GradientSync&&) noexcept = default;

std::span<float> GradientSync::gradient(std::size_t parameter) {
  return impl_->gradient(parameter);
}
void GradientSync::broadcast_bytes(std::span<std::byte> bytes, int root) {
  impl_->broadcast(bytes, root);
}
void GradientSync::set_weight(std::uint64_t weight) {
  impl_->set_weight(weight);
}
void GradientSync::ready(std::size_t parameter) {
  impl_->ready(parameter);
}
void GradientSync::wait() {
  impl_->wait();
}
void GradientSync::fail(const Error& error) {
  impl_->fail(error);
}
std::size_t GradientSync::buckets() const noexcept {
  return impl_->buckets();
}
std::string GradientSync::describe() const {
  return impl_->describe();
}

GradientSync::NoSync::NoSync(NoSync&& other) noexcept
    : scopes_(std::exchange(other.scopes_, nullptr)) {}
GradientSync::NoSync::~NoSync() {
  if (scopes_ != nullptr) --*scopes_;
}
GradientSync::NoSync GradientSync::no_sync() {
  return NoSync(impl_->unsynchronised());
}

}  // namespace faro
