#!/bin/bash
# What `make test` leaves out: static checks, the race detector, fuzzing, chaos, the
# end-to-end tests with arm64 under emulation, real Lima VMs, the app on a
# desktop. `make test` comes first: its kernel is in the cache.
# Emulated machines boot on one processor. What only computes, and has no deadline, runs
# meanwhile on the other ones with the lowest priority: static checks, and compiling for
# the race detector and the app.
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
scripts/e2e-app.sh --install # no other apt runs later
# The packages that do things at the same time; make soak takes all. It needs a C compiler,
# as the kernel step does.
race() {
	CGO_ENABLED=1 go test -race -p $((2 * $(getconf _NPROCESSORS_ONLN))) "$@" ./backend/publish/s3 ./backend/jobs ./backend/build/... ./backend/owner \
		./backend/client ./backend/event ./backend/evidence ./backend/limit ./backend/publish ./backend/publish/github ./backend/status ./backend/verify ./backend/worker ./app/feed ./app/tray
}
INGOT_E2E_WORK=$(mktemp -d /var/tmp/ingot-e2e-XXXXXX)
export INGOT_E2E_WORK
aside= # the process group of what runs meanwhile
cleanup() {
	[ -z "$aside" ] || kill -- "-$aside" 2>/dev/null || true
	scripts/e2e-clean.sh "$INGOT_E2E_WORK"
}
trap cleanup EXIT
said=$INGOT_E2E_WORK/aside.log
set -m # a process group of its own
(
	renice -n 19 -p "$BASHPID" >/dev/null
	NO_UNIT=1 scripts/check.sh
	echo "static checks: after $((SECONDS - started)) s"
	race -run '^$'
	scripts/e2e-app.sh --compile
	echo "compiled: after $((SECONDS - started)) s"
) >"$said" 2>&1 &
aside=$!
set +m
stage "fuzz" env FUZZTIME=2000x bench/fuzz.sh
stage "chaos" env JOBS=20 go test -count=1 -timeout 10m -tags chaos -v ./test/chaos
stage "end to end" scripts/e2e.sh -skip '^TestLine$'
stage "Lima" scripts/e2e-lima.sh # starts what the stage above published
stage "static checks, which ran meanwhile" true
wait "$aside" || { cat "$said"; exit 1; }
aside=
cat "$said"
stage "race detector" race
stage "the app" scripts/e2e-app.sh # after the end-to-end tests: its kernel is in the cache
echo "test-all: $((SECONDS - started)) s"
