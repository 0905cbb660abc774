# Defaults for those who build faro itself; a project that includes it sets its own.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo or Debug" FORCE)
endif()

# All programs in one place: build/<preset>/bin/faro.
if(NOT DEFINED CMAKE_RUNTIME_OUTPUT_DIRECTORY)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endif()

find_program(FARO_CCACHE ccache)
mark_as_advanced(FARO_CCACHE)
if(FARO_CCACHE)
  foreach(language C CXX CUDA)
    if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER ${FARO_CCACHE})
    endif()
  endforeach()
endif()

# The installed command finds a shared libfaro beside it, wherever both are moved to.
if(NOT DEFINED CMAKE_INSTALL_RPATH)
  file(RELATIVE_PATH FARO_BIN_TO_LIB
       ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set(CMAKE_INSTALL_RPATH $ORIGIN/${FARO_BIN_TO_LIB})
endif()
