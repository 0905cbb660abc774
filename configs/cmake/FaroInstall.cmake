# What `cmake --install` lays down: the command, libfaro, its headers, and what find_package(faro)
# and pkg-config need to link it.
include(CMakePackageConfigHelpers)

install(TARGETS faro_lib EXPORT faro_targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS faro RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/faro DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/faro/configs
  FILES_MATCHING PATTERN "*.toml" PATTERN cmake EXCLUDE)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/faro)
set(package_build ${PROJECT_BINARY_DIR}/package)
install(EXPORT faro_targets NAMESPACE faro:: FILE faroTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(configs/cmake/faroConfig.cmake.in ${package_build}/faroConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${package_build}/faroConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${package_build}/faroConfig.cmake ${package_build}/faroConfigVersion.cmake
  DESTINATION ${package_dir})
if(FARO_WITH_CUDA)
  install(FILES configs/cmake/FindNCCL.cmake DESTINATION ${package_dir})
endif()

# A static libfaro is linked to its packages by the program that uses it, a shared one has its own.
# As only one of the two is installed, `pkg-config --libs faro` needs no --static to be right.
set(FARO_PC_REQUIRES "")
set(FARO_PC_LIBS "")
if(NOT BUILD_SHARED_LIBS)
  set(FARO_PC_REQUIRES "libcurl libcrypto pugixml fmt hwloc libisal libxxhash tomlplusplus libpng libturbojpeg")
  list(JOIN HDF5_C_LIBRARIES " " FARO_PC_LIBS)
  if(FARO_WITH_CUDA)
    string(APPEND FARO_PC_LIBS
      " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -lrt -ldl -lpthread ${NCCL_LIBRARY}")
  endif()
endif()
file(RELATIVE_PATH FARO_PC_TO_PREFIX
     ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(configs/cmake/faro.pc.in ${package_build}/faro.pc @ONLY)
install(FILES ${package_build}/faro.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
