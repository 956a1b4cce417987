#!/bin/bash
# The owner at rest and at work: CPU and memory when idle after a build, submit
# to start with the queue up and from cold, cancel to end.
#   The Go benchmarks of package jobs give enqueue → start; the rest is measured
#   on a real owner in a home of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
go=$(scripts/go.sh --path)
"$go" test -run xxx -bench 'Start|Cold' -benchtime 50x ./backend/jobs | awk '/^Benchmark/ { printf "%s: %.1f ms\n", $1, $3 / 1e6 }'
home=$(mktemp -d "${TMPDIR:-/tmp}/ingot-bench.XXXXXX")
export INGOT_HOME=$home INGOT_KEYCHAIN=off INGOT_OWNER_IDLE=120s
finish() { bin/ingot owner stop > /dev/null 2>&1 || true; sleep 1; rm -rf "$home"; }
trap finish EXIT
mkdir -p "$home/config/targets"
printf 'apiVersion: ingot/v1\nkind: Target\nextends: debian-12-arm64\nlock: debian-12-arm64\nname: nowhere\nkernel: {crossCompile: nosuch-}\n' > "$home/config/targets/nowhere.yaml"
bin/ingot build nowhere > /dev/null 2>&1 || true
pid=$(bin/ingot owner --json | jq .pid)
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
before=$(ticks)
sleep "${SECONDS_IDLE:-60}"
after=$(ticks)
awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" -v s="${SECONDS_IDLE:-60}" -v rss="$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")" \
	'BEGIN { printf "owner idle after a build, queue still up: %.2f %% of a core over %d s, RSS %.0f MB\n", 100 * t / hz / s, s, rss / 1024 }'
