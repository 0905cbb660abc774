#!/usr/bin/env bash
# Builds everything and runs every test. Arguments go to ctest: tests/run.sh -R pack
set -euo pipefail
cd "$(dirname "$0")/.."

jobs/setup.sh --tests
echo "== configure"
cmake --preset release -DFARO_BUILD_TESTS=ON >/dev/null
echo "== build"
cmake --build --preset release
echo "== test"
# Tests of several ranks count as that many processors, so two of them do not share two cores.
exec tests/support/ctest.sh --preset release --parallel "${FARO_TEST_JOBS:-$(nproc)}" "$@"
