#include "cuda/claim.hpp"
#include "sync/sync.hpp"

namespace faro::sync {

std::unique_ptr<Backend> make_backend(std::span<const GradientParameter> parameters,
                                      const Layout& layout, const GradientSyncOptions& options,
                                      comm::Communicator& comm) {
  std::unique_ptr<Backend> backend;
  if (options.device < 0) {
    comm::together(comm, [&] { backend = make_host_backend(parameters, layout, comm); });
    return backend;
  }
  // A rank that cannot go on says so before the others wait for it in NCCL.
  std::shared_ptr<cuda::Device> device;
  cuda::CollectiveId id{};
  comm::together(comm, [&] {
    device = cuda::open_device(options.device);
    const cuda::Claim claim(options.device, cuda::Claim::By::nccl);  // before NCCL is called
    if (comm.rank() == 0) id = cuda::make_collective_id();
  });
  comm.broadcast(id, 0);
  std::unique_ptr<cuda::Collective> collective;
  comm::together(comm, [&] {
    collective =
        cuda::make_collective(*device, id, comm.size(), comm.rank(), connect_timeout(options));
  });
  comm::together(comm, [&] {
    backend =
        make_device_backend(parameters, layout, options, std::move(device), std::move(collective));
  });
  return backend;
}

}  // namespace faro::sync
