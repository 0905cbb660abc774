# How tests and fuzzers are declared.
#
# faro_test(NAME SOURCES a.cpp ... [LINKS target ...] [RANKS n ...] [TIMEOUT s])
# A GoogleTest program: run directly, and once for every number of RANKS under mpirun.
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
  # The programs alone, without the command and the rest: for the sanitizers' builds.
  add_custom_target(unit_tests)
  add_custom_target(mpi_tests)
endif()

function(faro_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINKS;RANKS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE faro_settings faro_lib GTest::gtest ${arg_LINKS})
  if(arg_RANKS)
    add_dependencies(mpi_tests ${name})
  else()
    add_dependencies(unit_tests ${name})
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES
      TIMEOUT ${arg_TIMEOUT} LABELS unit ENVIRONMENT "${FARO_TEST_ENVIRONMENT}")
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${name}.${ranks}
             COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.${ranks} PROPERTIES
      TIMEOUT ${arg_TIMEOUT} LABELS mpi PROCESSORS ${ranks} ENVIRONMENT "${FARO_TEST_ENVIRONMENT}")
  endforeach()
endfunction()

# faro_fuzzer(NAME SOURCES a.cpp ... [LINKS target ...])
# A libFuzzer program and a test that runs it for FARO_FUZZ_SECONDS. It begins with the files in
# corpus/NAME beside its CMakeLists.txt, where there are some, and keeps what it finds in the build.
if(FARO_BUILD_FUZZ)
  set(FARO_FUZZ_SECONDS 60 CACHE STRING "How long ctest runs each fuzzer")
  add_custom_target(fuzzers)
endif()

function(faro_fuzzer name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE faro_settings faro_lib ${arg_LINKS})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers ${name})

  set(found ${CMAKE_CURRENT_BINARY_DIR}/corpus/${name})
  file(MAKE_DIRECTORY ${found})
  set(seeds ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  if(NOT IS_DIRECTORY ${seeds})
    set(seeds)
  endif()
  math(EXPR timeout "${FARO_FUZZ_SECONDS} + 60")
  add_test(NAME fuzz.${name}
    COMMAND ${name} -max_total_time=${FARO_FUZZ_SECONDS} -timeout=10 -rss_limit_mb=2048
            -artifact_prefix=${CMAKE_CURRENT_BINARY_DIR}/${name}- ${found} ${seeds})
  set_tests_properties(fuzz.${name} PROPERTIES
    TIMEOUT ${timeout} LABELS fuzz ENVIRONMENT UBSAN_OPTIONS=print_stacktrace=1)
endfunction()
