#!/bin/bash
# What Ingot itself costs: for each step, the wall time minus the time in which
# its child processes ran, from the journals of a target's builds (the newest
# build that ran the step). Fails above the limit, in seconds.
#   INGOT_HOME etc. choose the home; the target must have been built there.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-debian-12-arm64} limit=${LIMIT:-2}
data=$(bin/ingot home --data)
out=$(cat "$data/builds/$target"/*/journal.ndjson | jq -rs --argjson limit "$limit" '
	[.[] | select(.kind == "step-finished" and .outcome == "passed" and .wallMs != null)]
	| group_by(.step) | map(last) | if length == 0 then error("no build with measured steps") else . end
	| .[] | ((.wallMs - (.childMs // 0)) / 1000) as $own
	| "\(.step)\t\(.wallMs / 1000) s, children \((.childMs // 0) / 1000) s, own \($own) s\(if $own > $limit then "  ABOVE \($limit) s" else "" end)"')
echo "$out"
! grep -q ABOVE <<<"$out"
