#!/bin/bash
# The README's test command, for people who have just cloned the repository:
# installs what it needs, runs the unit tests, and walks the whole line once on a
# small real target.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/tools.sh
bin/ingot doctor debian-12-amd64 >/dev/null 2>&1 || bin/ingot doctor --install debian-12-amd64
go vet ./...
go test ./...
scripts/e2e.sh -run '^TestLine$'
