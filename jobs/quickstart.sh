#!/usr/bin/env bash
# From a fresh checkout to a verified global shuffle of real data over 4 ranks, and a net trained on it.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: jobs/quickstart.sh [DIRECTORY] [--data s3://BUCKET/PREFIX]

Installs what is missing (jobs/setup.sh), builds the faro command, fetches Debian's
dataset-fashion-mnist, packs its 60,000 training images into tar shards, and delivers them to 4
ranks for 3 epochs, proving that each sample came exactly once and each byte was read once. Then 4
ranks train a small net on them for 5 epochs (jobs/train) and test it on the 10,000 test images:
on the GPUs, where nvidia-smi lists some and nvcc is there, by as many ranks as there are GPUs.
Everything goes under DIRECTORY (build/quickstart); a second run builds and packs nothing again.

  --data s3://BUCKET/PREFIX   the shards go to an object store, and are read from there; the bucket
                              must exist

environment:
  FARO_DATA   directory with the data set's four IDX files, where they cannot be fetched
  AWS_*       for s3://: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL and what else
              AWS's tools take; ~/.aws is read as well
EOF
}
die() { echo "quickstart: $*" >&2; exit 1; }

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/build/quickstart
data=
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --data)
      data=${2:-}
      [[ $data == s3://?* ]] || die "--data takes s3://BUCKET/PREFIX, not '$data'"
      data=${data%/}
      shift
      ;;
    -*) usage >&2; die "there is no option $1" ;;
    *) out=$1 ;;
  esac
  shift
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"
ranks=4

heading() { printf '\n== %s\n' "$*"; }

# Runs a command whose output only matters where it fails.
quietly() {
  local log=$out/log.txt
  "$@" >"$log" 2>&1 </dev/null || { tail -n 40 "$log" >&2; die "failed: $* (all of it: $log)"; }
}

heading "1/6 What faro is built with"
jobs/setup.sh

heading "2/6 The faro command and the training job"
# With GPUs it is the CUDA configuration, and one rank a GPU that trains: NCCL wants it so.
preset=release
trainers=$ranks
gpus=$({ nvidia-smi -L 2>/dev/null || true; } | grep -c '^GPU') || true
if [[ $gpus -gt 0 ]]; then
  if ! PATH=$PATH:/usr/local/cuda/bin command -v nvcc >/dev/null; then
    echo "$gpus GPUs, but no nvcc: they are not used"
  elif [[ ! -f build/cuda/build.ninja ]] &&
    ! cmake --preset cuda -DFARO_BUILD_TESTS=OFF >"$out/log.txt" 2>&1; then
    echo "$gpus GPUs, but no CUDA configuration, so they are not used ($out/log.txt):"
    grep -A 3 'CMake Error' "$out/log.txt" || true
  else
    preset=cuda
    if [[ $gpus -lt $ranks ]]; then trainers=$gpus; fi
  fi
fi
# A build with tests is used as it is.
[[ -f build/$preset/build.ninja ]] || quietly cmake --preset $preset -DFARO_BUILD_TESTS=OFF
quietly cmake --build --preset $preset --target faro faro_train
faro=$root/build/$preset/bin/faro
"$faro" --version

heading "3/6 The data: Fashion-MNIST"
package=dataset-fashion-mnist
idx=usr/share/datasets/fashion-mnist
fetch() {
  command -v apt-get >/dev/null || die "no apt-get here: set FARO_DATA to the IDX files' directory"
  rm -rf "$out/package"
  mkdir -p "$out/package"
  cd "$out/package"
  if ! apt-get -q download "$package" >"$out/log.txt" 2>&1; then
    # The lists of packages may never have been fetched.
    if [[ $(id -u) -eq 0 ]]; then apt-get -q update >>"$out/log.txt" 2>&1 || true; fi
    apt-get -q download "$package" >>"$out/log.txt" 2>&1 || {
      tail -n 5 "$out/log.txt" >&2
      die "cannot fetch Debian's $package; set FARO_DATA to the directory of the IDX files"
    }
  fi
  dpkg-deb -x "$package"_*.deb "$out/package"
  rm -f "$package"_*.deb
  cd "$root"
}
if [[ -n ${FARO_DATA:-} ]]; then
  source=$FARO_DATA
elif [[ -d /$idx ]]; then
  source=/$idx
else
  source=$out/package/$idx
  [[ -d $source ]] || fetch
fi
echo "IDX files in $source"

# More ranks than cores: let Open MPI start them, unbound, and yield while they wait.
# mpirun counts whole cores, nproc what this process may use; lscpu may know nothing (no /sys).
cores=$({ lscpu -p=CORE 2>/dev/null || true; } | sed '/^#/d' | sort -u | wc -l)
if [[ $cores -eq 0 || $cores -gt $(nproc) ]]; then cores=$(nproc); fi
if [[ $cores -lt $ranks ]]; then
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
  export OMPI_MCA_hwloc_base_binding_policy=none
fi
if [[ $(id -u) -eq 0 ]]; then  # mpirun would refuse: it does not know that this is a container
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

heading "4/6 Packing 60,000 images into tar shards, $ranks ranks"
data=${data:-$out/data}
packed="$source -> $data"
if [[ -f $out/packed && $(<"$out/packed") == "$packed" && -d $out/test ]]; then
  echo "packed already: $data"
else
  rm -f "$out/packed" "$out/manifest.faro.h5"
  mpirun -n $ranks "$faro" pack "$source" "$data" --split train --force
  mpirun -n $ranks "$faro" pack "$source" "$out/test" --split t10k --force  # for the training job
  echo "$packed" >"$out/packed"
fi

heading "5/6 Three epochs, shuffled globally, $ranks ranks"
echo "mpirun -n $ranks faro run $data --epochs 3 --seed 1 --global-batch 256 --verify"
mpirun -n $ranks "$faro" run "$data" --manifest "$out/manifest.faro.h5" \
  --epochs 3 --seed 1 --global-batch 256 --verify --report "$out/report.json"

heading "6/6 A net trained on it for 5 epochs, $trainers ranks"
echo "mpirun -n $trainers faro_train $data --test $out/test --epochs 5"
mpirun -n "$trainers" "$root/build/$preset/bin/faro_train" "$data" --test "$out/test" \
  --epochs 5 --log "$out/training.jsonl"

heading "Done"
echo "shards    $data"
echo "manifest  $out/manifest.faro.h5"
echo "report    $out/report.json"
echo "losses    $out/training.jsonl"
