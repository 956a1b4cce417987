#!/bin/bash
# `ingot build` of a target that is built, and `ingot status`: medians of ten.
# Fails when nothing to do takes more than the limit, in milliseconds.
#   INGOT_HOME etc. choose the home; the target must have been built there.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-debian-12-arm64} limit=${LIMIT:-1000}
median() { # COMMAND…
	for _ in $(seq 10); do
		s=$(date +%s%N)
		"$@" > /dev/null 2>&1
		echo $((($(date +%s%N) - s) / 1000000))
	done | sort -n | sed -n 5p
}
bin/ingot build --no-wait "$target" > /dev/null 2>&1
warm=$(median bin/ingot build --no-wait "$target")
cold=$(median sh -c "bin/ingot owner stop && while bin/ingot owner --json; do :; done; bin/ingot build '$target'")
echo "nothing to do: $warm ms with an owner at hand, $cold ms when it has to end and start first; status: $(median bin/ingot status "$target") ms (medians of 10)"
[ "$warm" -le "$limit" ] || { echo "above $limit ms" >&2; exit 1; }
