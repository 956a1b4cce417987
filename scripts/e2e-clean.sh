#!/bin/bash
# Removes the folder of the end-to-end tests. Owners whose homes are in it are ended
# first, with what they run: a build that goes on while its files' modes are changed
# would put a wrong output into the shared cache.
set -uo pipefail
work=${1:?the folder}
ingot=$(cd "$(dirname "$0")/.." && pwd)/bin/ingot
while IFS= read -r socket; do
	home=$(dirname "$(dirname "$socket")")
	pid=$(INGOT_HOME=$home INGOT_KEYCHAIN=off "$ingot" owner --json 2>/dev/null | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1)
	[ -n "$pid" ] || continue
	kill "$pid" 2>/dev/null
	for _ in $(seq 300); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
done < <(find "$work" -name owner.sock 2>/dev/null)
chmod -R u+w "$work"
rm -rf "$work"
