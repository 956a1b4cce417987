#!/bin/bash
# What `make test` leaves out: static checks, the race detector, fuzzing, chaos, the
# end-to-end tests with arm64 under emulation, real Lima VMs, the app on a
# desktop. `make test` comes first: its kernel is in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
stage() {
	echo "== $1 (after $((SECONDS - started)) s)"
	shift
	"$@"
}
scripts/tools.sh
bin/ingot doctor debian-12-arm64 >/dev/null 2>&1 || bin/ingot doctor --install debian-12-arm64
stage "static checks" env NO_UNIT=1 scripts/check.sh
# needs a C compiler, as the kernel step does; cause is left out: rules alone, and many of
# them, and so are the pictures; at once and in what order: see scripts/test.sh
race() {
	# shellcheck disable=SC2046 # a list of packages
	CGO_ENABLED=1 go test -race -skip '^Test(Screens|Pages)$' -p $((2 * $(getconf _NPROCESSORS_ONLN))) ./backend/publish/s3 ./backend/proof ./backend/jobs ./backend/guest ./app/window \
		$(go list ./backend/... | grep -v /cause) ./app/feed ./app/tray ./app/desktop
}
stage "race detector" race
stage "fuzz" env FUZZTIME=2000x bench/fuzz.sh
stage "chaos" env JOBS=20 go test -count=1 -timeout 10m -tags chaos -v ./test/chaos
INGOT_E2E_WORK=$(mktemp -d /var/tmp/ingot-e2e-XXXXXX)
export INGOT_E2E_WORK
trap 'scripts/e2e-clean.sh "$INGOT_E2E_WORK"' EXIT
stage "end to end" scripts/e2e.sh -skip '^TestLine$'
stage "Lima" scripts/e2e-lima.sh # starts what the stage above published
stage "the app" scripts/e2e-app.sh # after the end-to-end tests: its kernel is in the cache
echo "test-all: $((SECONDS - started)) s"
