# faro_test(NAME SOURCES a.cpp ... [LINKS target ...] [RANKS n ...] [TIMEOUT s] [GPU])
# A GoogleTest program: run directly, and once for every number of RANKS under mpirun.
#
# GPU: has cases that need a GPU, and skips them where there is none (label gpu, target gpu_tests).
#
# Programs of several ranks get PROCESSORS, so that `ctest -j` does not start two of them at once on
# a small machine, and what Open MPI needs to run more ranks than cores, as root too.
set(FARO_TEST_ENVIRONMENT
  OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_mpi_yield_when_idle=1
  OMPI_MCA_hwloc_base_binding_policy=none
  OMPI_ALLOW_RUN_AS_ROOT=1
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
if(FARO_SANITIZE)
  # MPI keeps what it allocates, and takes locks that ThreadSanitizer has not seen.
  list(APPEND FARO_TEST_ENVIRONMENT
    ASAN_OPTIONS=detect_leaks=0
    TSAN_OPTIONS=ignore_noninstrumented_modules=1
    UBSAN_OPTIONS=print_stacktrace=1)
endif()

if(FARO_BUILD_TESTS)
  find_package(GTest REQUIRED)
  # The programs of one kind alone, for the sanitizers' builds.
  add_custom_target(unit_tests)
  add_custom_target(mpi_tests)
  add_custom_target(gpu_tests)
endif()

function(faro_test name)
  cmake_parse_arguments(arg "GPU" "TIMEOUT" "SOURCES;LINKS;RANKS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set(kind "")
  if(arg_GPU)
    set(kind ";gpu")
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE faro_settings faro_lib GTest::gtest ${arg_LINKS})
  if(arg_GPU)
    add_dependencies(gpu_tests ${name})
  endif()
  if(arg_RANKS)
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/mpi_main.cpp)
    add_dependencies(mpi_tests ${name})
  else()
    add_dependencies(unit_tests ${name})
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES
      TIMEOUT ${arg_TIMEOUT} LABELS "unit${kind}" ENVIRONMENT "${FARO_TEST_ENVIRONMENT}")
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${name}.${ranks}
             COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.${ranks} PROPERTIES
      TIMEOUT ${arg_TIMEOUT} LABELS "mpi${kind}" PROCESSORS ${ranks} ENVIRONMENT "${FARO_TEST_ENVIRONMENT}")
  endforeach()
endfunction()
