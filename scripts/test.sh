#!/bin/bash
# The README's test command, for people who have just cloned the repository:
# installs what it needs, runs the unit tests, and walks the whole line once on a
# small real target of this computer's architecture. On a Mac the line's kernel and
# disk are made in the forge VM, and what Apple's frameworks are asked for is tested.
set -euo pipefail
cd "$(dirname "$0")/.."
case "$(uname -m)" in
arm64 | aarch64) target=debian-12-arm64 ;;
*) target=debian-12-amd64 ;;
esac
go list -deps -test ./... >/dev/null & # fetches the tests' modules, while packages are installed
modules=$!
trap 'kill "$modules" 2>/dev/null || true' EXIT
scripts/tools.sh
bin/ingot doctor "$target" >/dev/null 2>&1 || bin/ingot doctor --install "$target"
wait "$modules" || { echo "the modules of the tests were not fetched: see above" >&2; exit 1; }
# many tests wait for a process or a clock: more packages at once than processors; the
# longest first. -vet=all: go vet, without reading every package a second time.
go test -p $((2 * $(getconf _NPROCESSORS_ONLN))) -vet=all ./cmd/ingot ./backend/proof ./backend/jobs ./...
[ "$(uname -s)" != Darwin ] || go test -tags macos ./app/desktop
scripts/e2e.sh -run '^TestLine$'
