#!/bin/bash
# What people type many times a day, against `ingot --version`: medians of ROUNDS
# runs, the commands by turns. Prints milliseconds and ratios, and ends with 1 when
# one takes more than LIMIT ms (100; for a quiet machine).
#   bench/everyday.sh [TARGET]     INGOT_HOME, INGOT_CONFIG name another home
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-11} limit=${LIMIT:-100} target=${1:-debian-12-arm64}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
commands=("--version" "status" "target list" "vms" "doctor $target")
for c in "${commands[@]}"; do bin/ingot $c >/dev/null 2>&1 || true; done # what is remembered is learnt here
for ((i = 0; i < rounds; i++)); do
	for n in "${!commands[@]}"; do
		began=$(date +%s%N)
		bin/ingot ${commands[n]} >/dev/null 2>&1 || true
		echo $((($(date +%s%N) - began) / 1000)) >>"$out/$n"
	done
done
median() { sort -n "$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
base=$(median "$out/0") over=0
for n in "${!commands[@]}"; do
	us=$(median "$out/$n")
	mark=
	if [ $((us / 1000)) -gt "$limit" ]; then
		mark="  over $limit ms"
		over=1
	fi
	awk -v c="${commands[n]}" -v us="$us" -v base="$base" -v mark="$mark" 'BEGIN {printf "%-28s %7.1f ms  %5.1f × --version%s\n", c, us / 1000, us / base, mark}'
done
exit $over
