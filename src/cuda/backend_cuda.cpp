#include "cuda/backend.hpp"

#include <array>

#include "cuda/runtime.hpp"

namespace faro::cuda {
namespace {

// CUDA counts versions in thousands: 13020 is 13.2.
std::string version(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

std::string fallback(std::string_view why) {
  return fmt::format("{}; batches stay in host memory", why);
}

std::string name(int device) {
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) cudaGetLastError();
  return properties.name;
}

Backend look() {
  int runtime = 0;
  int driver = 0;  // stays 0 where no driver is installed
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);

  Backend backend{
      .compiled = true, .usable = false, .devices = 0, .bus_ids = {}, .names = {}, .why = {}};
  int devices = 0;  // CUDA leaves it alone when it fails
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) {
    cudaGetLastError();  // the error would else come up in the host program's next check
    backend.why =
        driver == 0
            ? fallback(fmt::format("no CUDA driver on this machine (runtime {})", version(runtime)))
            : fallback(fmt::format("CUDA driver {} with runtime {}: {}", version(driver),
                                   version(runtime), cudaGetErrorString(status)));
    return backend;
  }
  backend.devices = devices;
  for (int device = 0; device < devices; ++device) {
    backend.bus_ids.push_back(bus_id(device));
    backend.names.push_back(name(device));
  }
  backend.usable = devices > 0;
  backend.why = backend.usable
                    ? fmt::format("{} device{}, driver {}, runtime {}", devices,
                                  devices == 1 ? "" : "s", version(driver), version(runtime))
                    : fallback("no CUDA device is visible");
  return backend;
}

}  // namespace

std::string bus_id(int device) {
  std::array<char, 32> id{};
  if (cudaDeviceGetPCIBusId(id.data(), static_cast<int>(id.size()), device) == cudaSuccess) {
    return id.data();
  }
  cudaGetLastError();
  return {};
}

Backend probe() {
  static const Backend found = look();  // CUDA itself reads CUDA_VISIBLE_DEVICES but once
  return found;
}

}  // namespace faro::cuda
