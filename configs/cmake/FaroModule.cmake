# faro_module(NAME SOURCES a.cpp ... [LINKS target ...]): one folder of src/ as an object library.
# LINKS names what it may know: faro::<folder> services and stages before it, and packages.
function(faro_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_library(faro_${name} OBJECT ${arg_SOURCES})
  add_library(faro::${name} ALIAS faro_${name})
  target_link_libraries(faro_${name} PUBLIC faro_settings ${arg_LINKS})
  set_property(GLOBAL APPEND PROPERTY FARO_MODULES faro_${name})
endfunction()
