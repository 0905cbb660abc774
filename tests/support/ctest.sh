#!/usr/bin/env bash
# usage: tests/support/ctest.sh ARGUMENTS OF CTEST...
# ctest, and what failed once more, with the machine to itself, if it is one or two of the tests that
# start servers, hosts and jobs: they judge by a clock that others' work on the machine runs against.
# Both outcomes are printed. Never tried again is what a rare fault of faro's own would look like:
# any other test, what ran out of time or died, what a sanitizer has reported.
set -euo pipefail

most=2
with_servers='^(e2e\.|store_test$|s3_test$)'
rare='\*\*\*(Timeout|Exception|Not Run)|Sanitizer|runtime error:|no end within|exited on signal (4|6|7|8|11)\b'
rare+='|[Ss]egmentation fault|Aborted|terminate called|SIGSEGV|SIGABRT|exit code -?1(34|39)'
log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
ctest "$@" </dev/null 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
[[ $status -ne 0 ]] || exit 0
failed=$(sed -n 's/^[[:space:]]*[0-9]* - \(.*\) (Failed)$/\1/p' "$log")
count=$(grep -c . <<<"$failed") || true
if [[ $count -eq 0 || $count -gt $most ]] || grep -qvE "$with_servers" <<<"$failed" ||
  grep -qE "$rare" "$log"; then
  exit "$status"
fi
printf '\n== once more, by itself: %s\n' "${failed//$'\n'/, }"
ctest "$@" --parallel 1 --rerun-failed --no-tests=error </dev/null || exit
printf '== FAILED AT FIRST, and passed the second time: %s\n' "${failed//$'\n'/, }"
