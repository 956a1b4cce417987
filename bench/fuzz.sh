#!/bin/bash
# Runs each fuzz target alone and prints how many inputs it tried. Seeds that are
# large or slow to read leave the engine no time for inputs of its own.
#   FUZZTIME=1m   for how long, or how many runs (2000x), of each
#   RUN=regexp    only the targets whose names match
# Exits with 1 if a target finds a failure or tries nothing. The input is then
# in the package's testdata/fuzz.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
printf '%-14s %-22s %10s %8s  %s\n' TARGET PACKAGE RUNS SECONDS RESULT
while IFS=: read -r file func; do
	[[ $func =~ ${RUN:-.} ]] || continue
	dir=./$(dirname "$file")
	# compiled before the time counts
	go test -run '^$' -fuzz "^$func\$" -fuzztime 1x -parallel 1 "$dir" > "$log" 2>&1
	started=$SECONDS result=ok
	go test -run '^$' -fuzz "^$func\$" -fuzztime "${FUZZTIME:-1m}" -fuzzminimizetime 1x -parallel 1 "$dir" > "$log" 2>&1 || result=FAILED
	# the engine may be late at the end of its time, which is no failure of the target
	if [ $result = FAILED ] && grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input' "$log"; then
		result=ok
	fi
	runs=$(grep -o 'execs: [0-9]*' "$log" | tail -n 1 | cut -c8-)
	[ "${runs:-0}" -gt 0 ] || result=FAILED
	printf '%-14s %-22s %10s %8s  %s\n' "$func" "${dir#./}" "${runs:-0}" "$((SECONDS - started))" "$result"
	if [ $result = FAILED ]; then
		failed=1
		tail -n 40 "$log" >&2
	fi
done < <(git grep -o '^func Fuzz[A-Za-z0-9]*' -- '*_test.go' | sed 's/func //' | sort)
exit $failed
