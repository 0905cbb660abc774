#!/usr/bin/env bash
# Installs what faro is built with from Debian's packages, or says what to install.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: jobs/setup.sh [--tests] [--check | --list]

Installs what is missing of what faro is built with. As root on Debian or Ubuntu it uses apt-get;
otherwise it prints what to install and ends with code 1. Where nothing is missing it ends at once
and needs no network.

  --tests   also what the tests need: GoogleTest, a web and an S3 server, clang, Python
  --check   install nothing, only say what is missing
  --list    print the packages' names
EOF
}

build=(
  g++ cmake ninja-build pkg-config
  libopenmpi-dev openmpi-bin         # MPI 3.1
  libcurl4-openssl-dev               # HTTP(S) stores
  libssl-dev libpugixml-dev          # S3
  libhdf5-dev                        # the manifest
  libhwloc-dev                       # placement
  libisal-dev libxxhash-dev
  libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev
  libpng-dev libturbojpeg0-dev libdlpack-dev  # images, and tensors for other libraries
  libarchive-dev zlib1g-dev          # faro pack
  libeigen3-dev                      # the training job
)
tests=(
  libgtest-dev ccache make
  nginx-light libnginx-mod-http-lua openssl  # HTTP(S) servers on this machine
  ceph-mon ceph-osd radosgw          # an S3 server, too
  iproute2                           # several hosts on this machine
  clang libclang-rt-14-dev           # libFuzzer
  python3 python3-h5py               # other readers of what faro writes
  python3-numpy python3-pil          # other writers of what it decodes
)

wanted=("${build[@]}")
check=false
list=false
for argument in "$@"; do
  case $argument in
    --tests) wanted+=("${tests[@]}") ;;
    --check) check=true ;;
    --list) list=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

if $list; then
  printf '%s\n' "${wanted[@]}"
  exit
fi

# What to do where Debian's packages are not ours to install, as on a cluster.
elsewhere() {
  cat <<'EOF'

Without root, on a cluster, either of these gives the same (or ask for the packages above):
  modules:  module load gcc/12 cmake ninja openmpi hdf5 curl
            for what your site has no module of (isa-l, toml++, CLI11, ...) use Spack
  Spack:    spack env activate ./configs && spack install
            (configs/spack.yaml; an MPI of the site goes into its "packages:" section)
Then: cmake --preset release -DFARO_BUILD_TESTS=OFF && cmake --build --preset release
EOF
}

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is no Debian system, so nothing was checked. faro needs:" >&2
  { printf '  %s\n' "${wanted[*]}"; elsewhere; } >&2
  exit 1
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
missing=()
for package in "${wanted[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then
  echo "setup: all ${#wanted[@]} packages are there"
  exit 0
fi

if $check || [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
  {
    echo "setup: ${#missing[@]} packages are missing. As root:"
    echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    elsewhere
  } >&2
  exit 1
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# Debian starts the servers that it installs. The tests start their own, so nginx stays off.
policy=/usr/sbin/policy-rc.d
if [[ -e $policy ]]; then
  policy=
else
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
trap 'rm -f "$log" ${policy:+"$policy"}' EXIT
apt() { apt-get -q -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; }
install_missing() { apt install -y --no-install-recommends "${missing[@]}"; }

# The package lists may be missing, or older than the packages on the mirror: fetch them where
# installing without that fails, or cannot work.
if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || ! install_missing; then
  echo "setup: fetching Debian's package lists"
  apt update || true  # one unreachable source among several is no reason to stop
  if ! install_missing; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get could not install: ${missing[*]}" >&2
    exit 1
  fi
fi
echo "setup: ${#missing[@]} packages installed"
