# faro_module(NAME SOURCES a.cpp ... [LINKS target ...]): one folder of src/ as an object library.
# LINKS names what it may know: faro::<folder> services and stages before it, and packages.
#
# libfaro is made of the objects of the modules that were declared before it (FARO_OBJECTS) and is
# linked to their packages (FARO_PACKAGES); it does not link the modules themselves, which could
# then not be left out of the installed package.
set(FARO_HEADER_ONLY nlohmann_json::nlohmann_json CLI11::CLI11 dlpack::dlpack)

function(faro_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_library(faro_${name} OBJECT ${arg_SOURCES})
  add_library(faro::${name} ALIAS faro_${name})
  set_target_properties(faro_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(faro_${name} PUBLIC faro_settings ${arg_LINKS})

  set_property(GLOBAL APPEND PROPERTY FARO_OBJECTS $<TARGET_OBJECTS:faro_${name}>)
  set(packages ${arg_LINKS} faro::)  # never empty: list(FILTER) wants a list
  list(FILTER packages EXCLUDE REGEX "^faro::")
  list(REMOVE_ITEM packages ${FARO_HEADER_ONLY})
  set_property(GLOBAL APPEND PROPERTY FARO_PACKAGES ${packages})
endfunction()
