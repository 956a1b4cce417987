#!/bin/bash
# What hostile inputs cost: time, processor and memory of the program, as the table
# of docs/attacksurface.md. Exits with 1 above a limit. As root it has a device too.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
INGOT_BOUNDS=1 go test -count=1 -run '^TestBounds$|^TestStoppedOwner$' -v ./cmd/ingot > "$log" 2>&1 && code=0 || code=$?
sed -n 's/^ *|/|/p' "$log"
[ $code -eq 0 ] || { grep -v '^ *|' "$log" >&2; exit 1; }
