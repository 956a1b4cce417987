#!/bin/bash
# What Ingot itself costs: for each step, the wall time minus the time in which
# its child processes ran, from the journals of a target's builds (the newest
# build that ran the step). Fails above the limit, in seconds.
#   INGOT_HOME etc. choose the home; the target must have been built there.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-debian-12-arm64} limit=${LIMIT:-2}
data=$(bin/ingot home --data)
raw=$(ls -t "$data"/outputs/image-*/disk.raw | head -n 1)
out=$(cat "$data/builds/$target"/*/journal.ndjson | jq -rs --argjson limit "$limit" '
	[.[] | select(.kind == "step-finished" and .outcome == "passed" and .wallMs != null)]
	| group_by(.step) | map(last) | if length == 0 then error("no build with measured steps") else . end
	| .[] | ((.wallMs - (.childMs // 0)) / 1000) as $own
	| "\(.step)\t\(.wallMs / 1000) s, children \((.childMs // 0) / 1000) s, own \($own) s\(if $own > $limit and .step != "export" then "  ABOVE \($limit) s" else "" end)"')
echo "$out"
tmp=$(mktemp -d /var/tmp/ingot-bench-XXXXXX)
trap 'rm -rf "$tmp"' EXIT
timed() { # FILE COMMAND…: adds the milliseconds
	local file=$1 s
	shift
	s=$(date +%s%N)
	"$@" > /dev/null
	echo $((($(date +%s%N) - s) / 1000000)) >> "$file"
	rm -f "$tmp/x.qcow2"
}
for _ in 1 2 3; do
	timed "$tmp/ours" bin/ingot export "$target" --format qcow2 -o "$tmp/x.qcow2"
	timed "$tmp/theirs" qemu-img convert -c -O qcow2 "$raw" "$tmp/x.qcow2"
done
ours=$(sort -n "$tmp/ours" | sed -n 2p) theirs=$(sort -n "$tmp/theirs" | sed -n 2p)
awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "export as compressed qcow2: ingot %.1f s, qemu-img convert -c %.1f s: %.2f of its time\n", a / 1000, b / 1000, a / b }'
[ "$ours" -le "$theirs" ] || { echo "slower than qemu-img" >&2; exit 1; }
! grep -q ABOVE <<<"$out"
