# What tests/gpu.sh takes along to a machine that lacks faro's packages, and how it uses it there.
# Sourced: $gpu and $packages say where; die() ends.
# shellcheck shell=bash

multiarch=usr/lib/x86_64-linux-gnu

# The C and C++ libraries, which every machine has, are never taken along.
base='/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|util|anl|nsl|stdc\+\+|gcc_s|gfortran|quadmath))\.so'
# Neither are Open MPI's plugins for fabrics, nor what no build reads.
unused='/(doc|man|info|lintian|locale|fortran|java|valac?|vapi|gir-1.0)/|\.la$|mpifh|usempi|/lib[^/]*java'
fabrics='/mca_[a-z]+_(ucx|ofi|psm|psm2|usnic|openib|portals4)[^/]*$|/libmca_common_(ucx|ofi)'

# The packages that a build needs, with the -dev packages that these need.
dev_packages() {
  local -A seen=()
  local queue package
  mapfile -t queue < <(jobs/setup.sh --list |
    grep -vxE 'g\+\+|cmake|ninja-build|pkg-config|openmpi-bin')
  queue+=(libgtest-dev pkgconf pkgconf-bin openmpi-bin openmpi-common libopenmpi3 libpmix2)
  queue+=(nginx)  # the store of tests/bench/place.py
  while [[ ${#queue[@]} -gt 0 ]]; do
    package=${queue[0]}
    queue=("${queue[@]:1}")
    [[ -z ${seen[$package]:-} ]] || continue
    seen[$package]=1
    dpkg -s "$package" >/dev/null 2>&1 || continue  # an alternative that is not the one installed
    echo "$package"
    mapfile -t -O "${#queue[@]}" queue < <(dpkg-query -W -f '${Depends}\n' "$package" |
      tr ',|' '\n' | sed -E 's/ *\(.*//; s/:.*//; s/ //g' |
      grep -E -- '-dev$' | grep -vE '^(libc6|linux-libc|libstdc\+\+|libgcc|libgfortran).*-dev$' || true)
  done
}

idx_files() {
  local found
  for found in "${FARO_DATA:-}" /usr/share/datasets/fashion-mnist \
    build/quickstart/package/usr/share/datasets/fashion-mnist; do
    if [[ -n $found && -d $found ]]; then (cd "$found" && pwd) && return; fi
  done
  return 1
}

pack() {
  command -v dpkg-query >/dev/null || die "pack gathers Debian's packages, and this is no Debian"
  jobs/setup.sh --check >/dev/null || die "packages are missing here: run jobs/setup.sh first"
  mkdir -p "$gpu"
  local list data
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  list=$stage/list
  dev_packages | xargs dpkg -L | grep -vE "$unused" | grep -vE "$fabrics" | sort -u |
    awk '!/\.a$/ || /\/lib(pugixml|gtest|gtest_main|gmock|gmock_main)\.a$/' |
    while read -r file; do if [[ ! -d $file || -L $file ]]; then echo "$file"; fi; done >"$list"
  # The libraries that those libraries and programs need.
  grep -E '\.so(\.|$)|/s?bin/' "$list" >"$stage/programs"
  { xargs ldd <"$stage/programs" 2>/dev/null || true; } |  # scripts are none of ldd's
    sed -nE 's/.* => (\/[^ ]+) .*/\1/p' | sort -u | grep -vE "$base" |
    cat - <(grep -E '\.so$' "$list") |
    while read -r library; do
      compgen -G "$library*" || true  # libpng.so, and what it is a link to
      readlink -f "$library"
    done >"$stage/libraries"
  # /lib is /usr/lib.
  sed -E 's|^/||; s/^(lib|bin|sbin)\//usr\/\1\//' "$list" "$stage/libraries" |
    grep -vxE 'lib|bin|sbin' | sort -u >"$stage/names"
  tar -C / --ignore-failed-read -cf "$stage/packages.tar" --files-from "$stage/names"
  if data=$(idx_files); then
    tar -C "$data" --transform 's|^\./|fashion-mnist/|' -rf "$stage/packages.tar" .
  else
    echo "gpu.sh: without Fashion-MNIST: run jobs/quickstart.sh first, or set FARO_DATA"
  fi
  xz -T0 -3 <"$stage/packages.tar" >"$packages.part"
  mv "$packages.part" "$packages"
  ls -lh "$packages"
}

# ---- what was packed, used

# Sets what CMake is told of the packages, in `options`, and what programs need in the environment.
use_packages() {
  local prefix=$gpu/prefix
  local libraries=$prefix/$multiarch
  if [[ ! -f $prefix/.whole || $packages -nt $prefix/.whole ]]; then
    rm -rf "$prefix"
    mkdir -p "$prefix" "$gpu/bin"
    if command -v xz >/dev/null; then
      tar -C "$prefix" -xf "$packages"
    else
      python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
        "$packages" "$prefix"
    fi
    touch "$prefix/.whole"
  fi
  local paths=$libraries:$libraries/openmpi/lib:$libraries/hdf5/serial
  export CPATH=$prefix/usr/include/${multiarch##*/}  # headers that Debian has for each architecture
  # Open MPI and PMIx look for their parts where Debian has put them.
  export OPAL_PREFIX=$prefix/usr OPAL_LIBDIR=$libraries/openmpi/lib OPAL_BINDIR=$prefix/usr/bin
  export OPAL_DATADIR=$prefix/usr/share OPAL_PKGDATADIR=$prefix/usr/share/openmpi
  export OPAL_PKGLIBDIR=$libraries/openmpi/lib/openmpi3 OPAL_SYSCONFDIR=$prefix/etc
  export PMIX_PREFIX=$prefix/usr PMIX_PKGDATADIR=$prefix/usr/share/pmix
  export PMIX_LIBDIR=$libraries/pmix2/lib PMIX_PKGLIBDIR=$libraries/pmix2/lib/pmix
  export PMIX_INSTALL_PREFIX=$prefix/usr
  export OMPI_MCA_plm_rsh_agent=sh  # Open MPI wants one to be there, for other hosts than this one
  # Its libraries look for each other there alone; ours find what they need by themselves.
  mkdir -p "$gpu/lib"
  ln -sf "$libraries"/lib{mpi,open-,pmix,event,hwloc}*.so* "$gpu/lib/"
  export LD_LIBRARY_PATH=$gpu/lib:$libraries/openmpi/lib:$libraries/pmix2/lib
  program mpirun "LD_LIBRARY_PATH=$paths" "$(first_of "$prefix"/usr/bin/{orterun,mpirun.openmpi})"
  program pkg-config "LD_LIBRARY_PATH=$paths" "PKG_CONFIG_SYSROOT_DIR=$prefix" \
    "PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$prefix/usr/share/pkgconfig" "$prefix/usr/bin/pkgconf"
  if [[ -x $prefix/usr/sbin/nginx ]]; then
    program nginx "LD_LIBRARY_PATH=$paths" "$prefix/usr/sbin/nginx"
  fi
  # A newer compiler's new warnings are no reason to stop here.
  printf '#!/bin/sh\nexec "$@" -Wno-error\n' >"$gpu/bin/without-werror"
  chmod +x "$gpu/bin/without-werror"
  export PATH=$gpu/bin:$PATH
  options+=(
    "-DCMAKE_PREFIX_PATH=$prefix/usr" "-DPKG_CONFIG_EXECUTABLE=$gpu/bin/pkg-config"
    "-DCMAKE_CXX_COMPILER_LAUNCHER=$gpu/bin/without-werror"
    -DMPI_ASSUME_NO_BUILTIN_MPI=ON -DMPI_SKIP_COMPILER_WRAPPER=ON
    "-DMPI_C_HEADER_DIR=$libraries/openmpi/include" "-DMPI_CXX_HEADER_DIR=$libraries/openmpi/include"
    -DMPI_C_LIB_NAMES=mpi -DMPI_CXX_LIB_NAMES=mpi -DMPI_CXX_SKIP_MPICXX=ON
    "-DMPI_mpi_LIBRARY=$libraries/openmpi/lib/libmpi.so" "-DMPIEXEC_EXECUTABLE=$gpu/bin/mpirun"
    -DHDF5_NO_FIND_PACKAGE_CONFIG_FILE=ON -DHDF5_C_COMPILER_EXECUTABLE=HDF5_C_COMPILER_EXECUTABLE-NOTFOUND
    "-DHDF5_C_INCLUDE_DIR=$prefix/usr/include/hdf5/serial"
    "-DHDF5_hdf5_LIBRARY_RELEASE=$libraries/hdf5/serial/libhdf5.so"
    # DT_RPATH: it holds for the libraries' own libraries, too.
    "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags,-rpath,$paths,-rpath-link,$paths")
  [[ -n ${FARO_DATA:-} || ! -d $prefix/fashion-mnist ]] || export FARO_DATA=$prefix/fashion-mnist
}

first_of() {
  local file
  for file in "$@"; do if [[ -x $file ]]; then echo "$file" && return; fi; done
  die "$packages has none of: $*"
}

# program NAME VARIABLE=VALUE ... PROGRAM: a command of that name that runs it so.
program() {
  local name=$1
  shift
  printf '#!/bin/sh\nexec env %s "$@"\n' "$*" >"$gpu/bin/$name"
  chmod +x "$gpu/bin/$name"
}

