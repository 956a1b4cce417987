#!/bin/bash
# The engine at rest and at work, against its limits: submit → start with the
# queue up and from cold; 10,000 lines a second of a log at three followers, none
# lost; the owner idle after a build, while its queue is up and after; a cancelled
# build's processes gone.
#   The Go benchmarks of packages jobs and backend give the first two; the rest is
#   measured on a real owner in a home of its own, whose inputs come from the
#   user's cache. SECONDS_IDLE=n measures shorter. Limits: LIMIT_WARM LIMIT_COLD
#   LIMIT_CANCEL ms, LIMIT_CPU percent of a core, LIMIT_RSS MB.
set -euo pipefail
cd "$(dirname "$0")/.."
go=$(scripts/go.sh --path)
failed=0
within() { # WHAT GOT LIMIT UNIT
	local note=
	awk -v a="$2" -v b="$3" 'BEGIN { exit !(a > b) }' && note="  ABOVE" && failed=1
	echo "$1: $2 $4 (limit $3)$note"
}
figures=$("$go" test -run xxx -bench '^Benchmark(Start|Cold)$' -benchtime 50x -count 3 ./backend/jobs)
median() { awk -v n="$1" '$1 ~ n { printf "%.1f\n", $3 / 1e6 }' <<<"$figures" | sort -n | sed -n 2p; }
within "submit to start, queue up" "$(median BenchmarkStart)" "${LIMIT_WARM:-10}" ms
within "submit to start, from cold" "$(median BenchmarkCold)" "${LIMIT_COLD:-150}" ms
"$go" test -run xxx -bench '^BenchmarkFollow$' -benchtime 10x ./backend/owner | awk '
	/^BenchmarkFollow/ { printf "log of %d lines/s at 3 followers, none lost: a line is there after %d ms in the median, %d at most\n", $5, $7, $9; ok = 1 }
	/lines:|FAIL/ { print }
	END { exit !ok }' || failed=1

home=$(mktemp -d /var/tmp/ingot-bench-XXXXXX)
export INGOT_HOME=$home INGOT_KEYCHAIN=off INGOT_OWNER_IDLE=80s INGOT_CACHE=${INGOT_CACHE:-$HOME/.cache/ingot}
finish() { bin/ingot owner stop > /dev/null 2>&1 || true; sleep 1; rm -rf "$home"; }
trap finish EXIT
mkdir -p "$home/config/targets"
printf 'apiVersion: ingot/v1\nkind: Target\nextends: debian-12-arm64\nlock: debian-12-arm64\nname: nowhere\nkernel: {crossCompile: nosuch-}\n' > "$home/config/targets/nowhere.yaml"

# cancel → gone: from the command to the end of the last process below the owner
below() { local p; for p in $(pgrep -P "$1"); do echo "$p"; below "$p"; done; }
bin/ingot build debian-12-arm64 --until kernel > "$home/build.log" 2>&1 &
build=$!
for _ in $(seq 600); do # until it compiles, or at least unpacks
	pid=$(bin/ingot owner --json 2>/dev/null | jq -r .pid) || pid=
	[ -z "$pid" ] || [ "$(below "$pid" | wc -l)" -lt 2 ] || break
	sleep 0.2
done
sleep 2
children=$(below "$pid")
from=$(date +%s%N)
bin/ingot cancel debian-12-arm64 > /dev/null
gone=
for _ in $(seq 1000); do
	alive=0
	for p in $children $(below "$pid"); do
		state=$(awk '{ print $3 }' "/proc/$p/stat" 2>/dev/null) || state=
		[ -z "$state" ] || [ "$state" = Z ] || alive=1
	done
	[ "$alive" = 1 ] || { gone=$((($(date +%s%N) - from) / 1000000)); break; }
	sleep 0.01
done
wait "$build" || true
[ "$(wc -w <<<"$children")" -ge 2 ] || { echo "no process was there to be cancelled: $(tail -n 3 "$home/build.log")" >&2; failed=1; }
within "cancel to the end of $(wc -w <<<"$children") processes" "${gone:-99999}" "${LIMIT_CANCEL:-1000}" ms

bin/ingot build nowhere > /dev/null 2>&1 || true
pid=$(bin/ingot owner --json | jq .pid)
ticks() { cat "/proc/$pid"/task/*/schedstat | awk '{ s += $1 } END { print s / 1e6 }'; } # ms on a CPU
idle() { # WHAT LIMIT
	local before after s=${SECONDS_IDLE:-60}
	before=$(ticks)
	sleep "$s"
	after=$(ticks)
	within "owner idle, $1, over $s s" "$(awk -v t="$before" -v u="$after" -v s="$s" 'BEGIN { printf "%.3f", (u - t) / s / 10 }')" "$2" "% of a core"
}
curl -sN --unix-socket "$home/data/owner.sock" http://owner/v1/events > /dev/null & # a client, as the menu is: the owner stays, the queue ends
client=$!
# for at most a minute after the last job: nats-server ticks ten times a second
idle "queue still up" "${LIMIT_CPU_QUEUE:-1}"
sleep $((85 - ${SECONDS_IDLE:-60}))
idle "queue ended, a client connected" "${LIMIT_CPU:-0.1}"
within "memory of the idle owner" "$(awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$pid/status")" "${LIMIT_RSS:-60}" MB
kill "$client"
wait "$client" || true
exit "$failed"
