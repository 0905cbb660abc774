#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: builds the CUDA configuration, runs what needs the GPU, says what came.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tests/gpu.sh [run] [PART ...]
       tests/gpu.sh pack

run: builds the CUDA configuration in build/gpu/build and runs the PARTs (all of them):
  build      faro, faro_train, the tests with the label gpu, the benchmarks of the GPU
  topo       which GPU a rank has, and which way its batches take
  tests      ctest -L gpu, and the training job's losses on the GPU against the host's
  sanitizer  the unit tests of them under compute-sanitizer
  benches    the benchmarks
  train      the training job of quickstart on one rank, and on two that share the GPU
A part that cannot run says why. Where there is no GPU the script says so and ends with code 77.
What came of it: summary.json, summary.txt and log.txt in $OUT, else in build/gpu/results.

pack: for a machine that has CUDA, a C++ compiler, CMake and Ninja, but neither faro's packages nor a
network. Run on a Debian machine that has built faro, it gathers the packages' headers and libraries,
Open MPI, nginx and Fashion-MNIST in build/gpu/packages.tar.xz. Copy the source tree with that file there.
EOF
}

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
gpu=$root/build/gpu
packages=$gpu/packages.tar.xz
die() { echo "gpu.sh: $*" >&2; exit 1; }

# shellcheck source=tests/support/gpu_packages.sh
source tests/support/gpu_packages.sh

# NCCL of a Python package, where the toolkit has none.
use_nccl() {
  local toolkit=$1 wheel
  [[ ! -f $toolkit/include/nccl.h ]] || return 0
  wheel=$(python3 -c 'import nvidia.nccl as n; print(list(n.__path__)[0])' 2>/dev/null) || return 0
  options+=("-DNCCL_INCLUDE_DIR=$wheel/include" "-DNCCL_LIBRARY=$wheel/lib/libnccl.so.2")
}

results=${OUT:-$gpu/results}
build=$gpu/build
bin=$build/bin
rows=()

# record PART STATUS WHY
record() {
  rows+=("$1"$'\t'"$2"$'\t'"$3")
  printf '%-10s %-8s %s\n' "$1" "$2" "$3" | tee -a "$results/summary.txt"
}

# part NAME LIMIT COMMAND...: its output goes to the log; its last line says how it went. 77: skipped.
part() {
  local name=$1 limit=$2 last status=0 begun=$SECONDS
  shift 2
  printf '\n======== %s\n' "$name" >>"$results/log.txt"
  # In a shell of its own, which a time limit can end.
  export -f "${functions[@]}"
  timeout -k 10 "$limit" bash -euo pipefail -c '"$@"' _ "$@" >>"$results/log.txt" 2>&1 ||
    status=$?
  last=$(grep -v '^ *$' "$results/log.txt" | tail -n 1)
  case $status in
    0) record "$name" passed "$last ($((SECONDS - begun)) s)" ;;
    77) record "$name" skipped "$last" ;;
    124 | 137) record "$name" failed "not done after $limit s: $last" ;;
    *) record "$name" failed "code $status: $last" ;;
  esac
}
skip() { echo "$*"; exit 77; }

part_build() {
  cmake --version | head -n 1
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFARO_WITH_CUDA=ON -DFARO_BUILD_BENCH=ON \
    "-DCMAKE_CUDA_ARCHITECTURES=$architecture" "$@"
  cmake --build "$build" --target faro faro_train gpu_tests gpu_benches
  echo "built for compute capability $architecture"
}

part_topo() {
  mpirun -n 2 "$bin/faro" topo --report "$results/topo.json" | tee "$gpu/topo.txt"
  grep 'tensors: ' "$gpu/topo.txt"
}

part_tests() {
  local log=$gpu/tests.log
  ctest --test-dir "$build" -V -L gpu | tee "$log"
  FARO=$bin/faro python3 tests/e2e/train_test.py Train.test_devices
  printf '%s; %d cases passed, %d skipped\n' "$(grep 'tests passed' "$log")" \
    "$(grep -c '\[       OK \]' "$log")" "$(grep -c '\[  SKIPPED \].*ms' "$log")"
}

part_sanitizer() {
  command -v compute-sanitizer >/dev/null || skip "compute-sanitizer is not installed"
  local program programs
  programs=$(ctest --test-dir "$build" -N -L gpu -LE mpi | sed -n 's/.*: \([a-z_]*\)$/\1/p')
  for program in $programs; do
    compute-sanitizer --tool memcheck --error-exitcode 9 "$bin/$program"
    compute-sanitizer --tool racecheck --error-exitcode 9 "$bin/$program"
  done
  echo "memcheck and racecheck found nothing in: ${programs//$'\n'/ }"
}

part_benches() {
  "$bin/gather_bench" >"$results/gather_bench.json"
  cat "$results/gather_bench.json"
  mpirun -n 2 "$bin/sync_device_bench" 256 40 10 >"$results/sync_device_bench.json"
  cat "$results/sync_device_bench.json"
  python3 tests/bench/place.py "$bin" --device cuda --json "$results/place.json"
  echo "gather_bench.json, sync_device_bench.json, place.json"
}

part_train() {
  [[ -d ${FARO_DATA:-} ]] || skip "no Fashion-MNIST: set FARO_DATA to the directory of its IDX files"
  local data=$gpu/fashion
  [[ -d $data/test ]] || {
    mpirun -n 4 "$bin/faro" pack "$FARO_DATA" "$data/train" --split train --force
    mpirun -n 4 "$bin/faro" pack "$FARO_DATA" "$data/test" --split t10k --force
  }
  local job=("$bin/faro_train" "$data/train" --test "$data/test")
  mpirun -n 1 "${job[@]}" --epochs 1 --device host --log "$gpu/host.jsonl"
  mpirun -n 1 "${job[@]}" --epochs 5 --device cuda --log "$gpu/cuda.jsonl"
  # NCCL refuses two ranks on one GPU of one host: so they say that they are on two.
  mpirun -n 1 -x NCCL_HOSTID=one "${job[@]}" --epochs 1 --device cuda --log "$gpu/two.jsonl" : \
    -n 1 -x NCCL_HOSTID=two "${job[@]}" --epochs 1 --device cuda
  python3 - "$gpu/host.jsonl" "$gpu/cuda.jsonl" "$gpu/two.jsonl" <<'EOF'
import json, sys
host, cuda, two = ([json.loads(line) for line in open(name)] for name in sys.argv[1:])
losses = [[line["loss"] for line in run if "loss" in line][:100] for run in (host, cuda, two)]
worst = [max(abs(a - b) / a for a, b in zip(losses[0], other)) for other in losses[1:]]
right = [line["accuracy"] for line in cuda if "accuracy" in line][-1]
assert max(worst) < 1e-3, f"losses differ from the host's by {worst}"
print(f"accuracy {right:.4f} after 5 epochs; 100 losses differ from the host's by at most "
      f"{worst[0]:.1e}, of two ranks by {worst[1]:.1e}")
EOF
}
functions=(part_build part_topo part_tests part_sanitizer part_benches part_train skip)

json() {
  local row name status why comma=
  printf '{"gpu": "%s", "cuda": "%s", "commit": "%s", "parts": [' "$device" "$toolkit" \
    "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  for row in "${rows[@]}"; do
    IFS=$'\t' read -r name status why <<<"$row"
    why=${why//\\/\\\\}
    printf '%s\n  {"part": "%s", "status": "%s", "why": "%s"}' "$comma" "$name" "$status" \
      "${why//\"/\\\"}"
    comma=,
  done
  printf '\n]}\n'
}

run() {
  local parts=("$@") name nvcc
  for name in "${parts[@]}"; do
    [[ $(type -t "part_$name") == function ]] || { usage >&2; die "there is no part '$name'"; }
  done
  [[ ${#parts[@]} -gt 0 ]] || parts=(build topo tests sanitizer benches train)
  device=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1) || true
  [[ -n $device ]] || { echo "gpu.sh: no NVIDIA GPU on this machine: nothing was run"; exit 77; }
  nvcc=$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc) ||
    { echo "gpu.sh: $device, but no nvcc on this machine: nothing was run"; exit 77; }
  toolkit=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
  architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  mkdir -p "$results"
  : >"$results/log.txt"
  echo "$device, CUDA $toolkit" | tee "$results/summary.txt"
  nvidia-smi >>"$results/log.txt"

  export PATH=$PATH:/usr/local/cuda/bin CUDACXX=$nvcc
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
  export OMPI_MCA_hwloc_base_binding_policy=none
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  options=()
  if ! jobs/setup.sh --check >/dev/null 2>&1 && [[ -f $packages ]]; then use_packages; fi
  [[ -n ${FARO_DATA:-} ]] || FARO_DATA=$(idx_files) || true
  use_nccl "$(dirname "$(dirname "$nvcc")")"
  export gpu build bin results architecture FARO_DATA

  for name in "${parts[@]}"; do
    case $name in
      build) part build 3600 part_build "${options[@]}" ;;
      *) if [[ -x $bin/faro ]]; then part "$name" 1800 "part_$name"; else
          record "$name" skipped "there is no build"
        fi ;;
    esac
    json >"$results/summary.json"  # after each: this script may be ended, too
  done
  echo "gpu.sh: $results/summary.json"
  printf '%s\n' "${rows[@]}" | grep -qP '\tfailed\t' && exit 1
  exit 0
}

case ${1:-run} in
  -h | --help) usage ;;
  pack) pack ;;
  run) shift $(($# > 0)); run "$@" ;;
  *) run "$@" ;;
esac
