#!/usr/bin/env bash
# usage: tests/support/ctest.sh ARGUMENTS OF CTEST...
# ctest, and what failed once more, with the machine to itself: some tests start servers, hosts and
# jobs, and judge by a clock that others' work on the machine runs against. Both outcomes are
# printed. Not tried again: what ran out of its time or died, what a sanitizer has reported, and
# more than two tests. Those are what a rare fault of faro's own looks like.
set -euo pipefail

most=2
log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
ctest "$@" </dev/null 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
[[ $status -ne 0 ]] || exit 0
failed=$(sed -n 's/^[[:space:]]*[0-9]* - \(.*\) (Failed)$/\1/p' "$log")
count=$(grep -c . <<<"$failed") || true
rare='\*\*\*(Timeout|Exception)|\*\*\*Not Run|Sanitizer|runtime error:|no end within'
if [[ $count -eq 0 || $count -gt $most ]] || grep -qE "$rare" "$log"; then exit "$status"; fi
printf '\n== once more, by itself: %s\n' "${failed//$'\n'/, }"
ctest "$@" --parallel 1 --rerun-failed </dev/null || exit
printf '== FAILED AT FIRST, and passed the second time: %s\n' "${failed//$'\n'/, }"
