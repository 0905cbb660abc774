# What faro is built with. faroConfig.cmake.in and faro.pc.in repeat what libfaro is linked to.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(MPI 3.1 REQUIRED COMPONENTS C CXX)
find_package(CURL 7.68 REQUIRED)
find_package(OpenSSL 1.1.1 REQUIRED COMPONENTS Crypto)
find_package(pugixml REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(HDF5 REQUIRED COMPONENTS C)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc>=2.0)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg)
find_package(PNG REQUIRED)
find_package(dlpack REQUIRED)  # a header

# Only for the command: its options and `faro pack`.
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(LibArchive REQUIRED)

# Only for the training job.
if(PROJECT_IS_TOP_LEVEL)
  find_package(Eigen3 3.3 REQUIRED NO_MODULE)
endif()

if(FARO_WITH_CUDA)
  # FindCUDAToolkit looks in /usr/local/cuda and CUDA_PATH too, CMake's language support does not.
  find_package(CUDAToolkit REQUIRED)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
  endif()
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90)  # A100, H100 and later ones by PTX
  endif()
  enable_language(CUDA)
  find_package(NCCL 2.14 REQUIRED)  # communicators that do not block
endif()
