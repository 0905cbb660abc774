#include "places.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "comm/mpi.hpp"
#include "cuda/backend.hpp"

namespace faro::sync {

std::string Where::name() const {
  switch (kind) {
    case Kind::host: return "host";
    case Kind::emulated: return "emulated" + std::to_string(seed);
    case Kind::nccl: return "nccl";
  }
  return "nowhere";
}

std::string Where::missing() const {
  if (kind != Kind::nccl) return "";
  if (const auto backend = cuda::probe(); !backend.usable) return backend.why;
  return job_size() <= 2 ? "" : "more than 2 ranks are too many for one GPU";
}

std::vector<Where> Where::emulations() {
  return {{Kind::emulated, 0}, {Kind::emulated, 1}, {Kind::emulated, 2}};
}

std::vector<Where> Where::all() {
  return {{Kind::host, 0}, {Kind::emulated, 0}, {Kind::emulated, 2}, {Kind::nccl, 0}};
}

Sync::Sync(const Where& where, std::vector<GradientParameter> parameters,
           GradientSyncOptions options) {
  auto comm = comm::from_mpi(MPI_COMM_WORLD);
  if (where.kind == Where::Kind::host) {
    session_ = std::make_unique<Session>(std::move(parameters), options, std::move(comm));
    return;
  }
  if (where.kind == Where::Kind::emulated) {
    auto emulated = std::make_shared<test::EmulatedDevice>(
        where.seed + 3 * static_cast<std::uint64_t>(job_rank()));
    emulated_ = emulated.get();
    device_ = std::move(emulated);
  } else {
    // NCCL takes two ranks on one GPU for a mistake, unless their hosts are different ones.
    setenv("NCCL_HOSTID", ("faro-test-" + std::to_string(job_rank())).c_str(), 1);
    device_ = cuda::open_device(0);
  }
  stream_ = device_->make_stream();
  for (auto& parameter : parameters) {
    auto& mirror = mirrors_.emplace_back();
    if (parameter.gradient == nullptr) continue;
    const auto bytes = parameter.elements * (parameter.type == GradientType::f32 ? 4 : 2);
    mirror.here = {static_cast<std::byte*>(parameter.gradient), bytes};
    mirror.there = device_->allocate(bytes);
    mirror.pinned = device_->allocate_pinned(bytes);
    parameter.gradient = mirror.there->bytes().data();
  }
  if (options.device == GradientSyncOptions{}.device) options.device = 0;
  options.stream = stream_->native();
  MakeBackend make = make_backend;
  if (emulated_ != nullptr) {
    make = [this](auto all, const auto& layout, const auto& how, auto& ranks) {
      return make_emulated(all, layout, how, ranks);
    };
  }
  session_ = std::make_unique<Session>(std::move(parameters), options, std::move(comm), make);
}

std::unique_ptr<Backend> Sync::make_emulated(std::span<const GradientParameter> parameters,
                                             const Layout& layout,
                                             const GradientSyncOptions& options,
                                             comm::Communicator& comm) {
  auto collective = std::make_unique<test::EmulatedCollective>(*emulated_, comm.duplicate());
  collective_ = collective.get();
  std::unique_ptr<Backend> backend;
  comm::together(comm, [&] {
    backend = make_device_backend(parameters, layout, options, device_, std::move(collective));
  });
  return backend;
}

void Sync::to_device(std::byte* there, std::span<const std::byte> here, cuda::Memory& pinned) {
  std::ranges::copy(here, pinned.bytes().begin());
  stream_->copy(there, pinned.bytes().data(), here.size());
}

void Sync::to_host(std::span<std::byte> here, const std::byte* there, cuda::Memory& pinned) {
  const auto end = device_->make_event();
  stream_->copy(pinned.bytes().data(), there, here.size());
  stream_->record(*end);
  end->wait();
  std::ranges::copy(pinned.bytes().first(here.size()), here.begin());
}

void Sync::upload(std::size_t parameter) {
  if (parameter >= mirrors_.size() || !mirrors_[parameter].there) return;
  auto& mirror = mirrors_[parameter];
  to_device(mirror.there->bytes().data(), mirror.here, *mirror.pinned);
}

void Sync::ready(std::size_t parameter) {
  upload(parameter);
  session_->ready(parameter);
}

void Sync::wait() {
  session_->wait();
  for (auto& mirror : mirrors_) {
    if (mirror.there) to_host(mirror.here, mirror.there->bytes().data(), *mirror.pinned);
  }
}

std::shared_ptr<unsigned> Sync::no_sync() {
  auto* scopes = session_->unsynchronised();
  ++*scopes;
  return {scopes, [](unsigned* all) { --*all; }};
}

std::vector<float> Sync::gradient(std::size_t parameter) {
  const auto there = session_->gradient(parameter);
  if (!device_) return {there.begin(), there.end()};
  std::vector<float> here(there.size());
  const auto pinned = device_->allocate_pinned(there.size_bytes());
  to_host(std::as_writable_bytes(std::span(here)), std::as_bytes(there).data(), *pinned);
  return here;
}

void Sync::set_gradient(std::size_t parameter, std::span<const float> values) {
  const auto there = session_->gradient(parameter);
  if (!device_) {
    std::ranges::copy(values, there.begin());
    return;
  }
  auto& pinned = mirrors_[parameter].pinned;  // kept until the copy has run
  if (!pinned) pinned = device_->allocate_pinned(there.size_bytes());
  to_device(std::as_writable_bytes(there).data(), std::as_bytes(values), *pinned);
}

void Sync::broadcast_bytes(std::span<std::byte> bytes, int root) {
  if (!device_) return session_->broadcast(bytes, root);
  kept_.push_back(device_->allocate_pinned(bytes.size()));
  kept_.push_back(device_->allocate(bytes.size()));
  auto& pinned = **(kept_.end() - 2);
  const auto there = kept_.back()->bytes();
  to_device(there.data(), bytes, pinned);
  session_->broadcast(there, root);
  to_host(bytes, there.data(), pinned);
}

}  // namespace faro::sync
