#!/usr/bin/env bash
# tests/consumer/run.sh static|shared FARO_BUILD WORK: see CMakeLists.txt beside it.
set -euo pipefail
kind=$1 build=$2 work=$3
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
rm -rf "$work"
mkdir -p "$work/data"

if [[ ! -f $build/CMakeCache.txt ]]; then
  echo "== building a $kind libfaro"
  "$CMAKE" -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFARO_BUILD_TESTS=OFF \
    -DCMAKE_CXX_COMPILER="$CXX" -DBUILD_SHARED_LIBS="$([[ $kind == shared ]] && echo ON || echo OFF)"
fi
"$CMAKE" --build "$build" --parallel "$(nproc)" --target faro_lib faro
echo "== installing it"
"$CMAKE" --install "$build" --prefix "$work/first" >"$work/install.log"
# The installed tree must work wherever it is moved to.
mv "$work/first" "$work/prefix"
prefix=$work/prefix

# Four samples in two shards, the files' times and owners left as they come.
for shard in 0 1; do
  for i in 0 1; do
    echo "sample $shard$i" >"$work/data/00$shard$i.txt"
  done
  (cd "$work/data" && tar --format=ustar -cf "train-$shard.tar" "00${shard}0.txt" "00${shard}1.txt")
done
rm "$work"/data/*.txt

# Two epochs of four samples of ten bytes.
expect() {
  local output
  output=$("$MPIEXEC" -n 2 "$@" "$work/data" 2)
  echo "$output"
  [[ $output == *"8 samples, 80 bytes"* ]] || { echo "expected 8 samples, 80 bytes" >&2; exit 1; }
}

echo "== find_package(faro)"
"$CMAKE" -S "$here/project" -B "$work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_CXX_FLAGS="${FARO_SANITIZE:+-fsanitize=$FARO_SANITIZE}" \
  >"$work/cmake.log"
"$CMAKE" --build "$work/cmake"
expect "$work/cmake/consumer"

echo "== pkg-config and make"
library_path=$(dirname "$(find "$prefix" -name 'libfaro.*' | head -n 1)")
export PKG_CONFIG_PATH=$library_path/pkgconfig
OMPI_CXX=$CXX make -C "$here/project" --no-print-directory OUT="$work/consumer" \
  CXXFLAGS="${FARO_SANITIZE:+-fsanitize=$FARO_SANITIZE}"
# A shared library in a place of its own is found as on a cluster, by the environment.
LD_LIBRARY_PATH=$library_path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} expect "$work/consumer"

echo "== the installed command"
"$prefix/bin/faro" --version
"$prefix/bin/faro" run "$work/data" --config "$prefix/share/faro/configs/run.toml" \
  --global-batch 2 --memory 64M --report "$work/report.json"
