#!/bin/bash
# Real Lima VMs under TCG, as a user that is not root: make e2e-lima.
#   RUN=regexp   tests to run    TIMEOUT=30m    KEEP=1   leaves the instances    LIMA=v1.2.1
#   INGOT_E2E_LIMA=/var/tmp/x  another home than ingot-ci's, for two runs at once
# scripts/lima-world.sh says what they need and as whom they run.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. scripts/lima-world.sh
CGO_ENABLED=0 "$go" test -c -tags e2e_lima -o "$home/bin/lima.test" ./test/lima
cp bin/ingot "$home/bin/ingot"

cleanup() {
	[ -z "${small:-}" ] || umount "$small" || true
	[ -z "${store:-}" ] || { kill "$store" && wait "$store" || true; }
	[ -n "${KEEP:-}" ] || rm -rf "$home/lima" "$home/ingot" "$home/tmp"
}
trap cleanup EXIT

# what the tests take from Ingot's own line: a kernel for the amd64 guest, in the
# tests' home, and a published arm64 image, in another one
line=${INGOT_E2E_WORK:-/var/tmp/ingot-e2e-lima}
mkdir -p "$line/home"
cp -r test/targets "$line/"
line_env=(env INGOT_HOME="$line/home" INGOT_CONFIG="$line" INGOT_CACHE="${INGOT_CACHE:-$HOME/.cache/ingot}" INGOT_KEYCHAIN=off INGOT_OWNER_IDLE=5s)
ingot_line() { "${line_env[@]}" bin/ingot "$@"; }
mkdir -p "$home/ingot/config"
cp -r test/targets "$home/ingot/config/"
kernel() { env INGOT_HOME="$home/ingot" INGOT_CACHE="${INGOT_CACHE:-$HOME/.cache/ingot}" INGOT_KEYCHAIN=off INGOT_OWNER_IDLE=5s bin/ingot "$@"; }
runs() { [ -z "${RUN:-}" ] || [[ $1 =~ $RUN ]]; }
kernels=() # that tests need in their home, by target
if runs TestForge; then kernels+=(debian-12-amd64-small); fi
if [ -n "${INGOT_E2E_SOAK:-}" ] && { runs TestTakeTheDisk || runs TestImageOfRunning; }; then kernels+=(debian-12-amd64-lean); fi
for k in ${kernels[@]+"${kernels[@]}"}; do
	kernel doctor "$k" >/dev/null 2>&1 || kernel doctor --install "$k"
	kernel build "$k" --until kernel
done
[ ${#kernels[@]} -eq 0 ] || kernel owner stop
seed= # the compiler cache of a build by the same compiler, for one inside a guest
if [ -n "${INGOT_E2E_SOAK:-}" ] && { runs TestBuildInside || runs TestForgeLine; }; then
	seed=$home/tmp/seed.tar
	mkdir -p "$home/tmp/seed"
	cp -rl "${INGOT_CACHE:-$HOME/.cache/ingot}/inputs" "$home/tmp/seed/" 2>/dev/null || true # they are fetched anew
	seeded() { env INGOT_HOME="$home/tmp/seedhome" INGOT_CONFIG="$PWD/test" INGOT_CACHE="$home/tmp/seed" INGOT_KEYCHAIN=off INGOT_OWNER_IDLE=5s bin/ingot "$@"; }
	for t in TestBuildInside:debian-12-amd64-tiny TestForgeLine:debian-12-amd64-small; do
		if runs "${t%%:*}"; then seeded build "${t##*:}" --until kernel; fi
	done
	seeded owner stop
	tar -cf "$seed" -C "$home/tmp/seed/ccache" .
	rm -rf "$home/tmp/seedhome" "$home/tmp/seed"
fi
release=
if runs TestReleaseStarts; then
	ingot_line build debian-12-arm64-lean
	ingot_line owner stop
	receipt=$(ingot_line status debian-12-arm64-lean --json | jq -er '.[0].published.evidence')
	release=$(ingot_line evidence show "$receipt" | jq -er .predicate.url)
	ingot_line evidence key >"$home/publisher.pub"
	(exec "${line_env[@]}" bin/ingot store serve) >"$home/tmp/store.log" & # exec: $! is the server itself
	store=$!
	until grep -q . "$home/tmp/store.log"; do
		kill -0 "$store" || { echo "the store does not come up" >&2; exit 1; }
		sleep 0.1
	done
fi
give_home
small= # a place that fills quickly
if [ "$(id -u)" -eq 0 ]; then
	small=$home/small
	mkdir -p "$small"
	mountpoint -q "$small" || mount -t tmpfs -o size=24m,mode=1777 tmpfs "$small"
fi
world+=(KEEP="${KEEP:-}" INGOT_HOME="$home/ingot" INGOT_E2E_RELEASE="$release" INGOT_E2E_KEY="$home/publisher.pub"
	INGOT_E2E_BIN="$home/bin/ingot" INGOT_E2E_SMALL="$small" INGOT_E2E_SEED="$seed" INGOT_E2E_SOAK="${INGOT_E2E_SOAK:-}" INGOT_E2E_EXPORTS="${INGOT_E2E_EXPORTS:-}")
if [ ${#as[@]} -gt 0 ]; then # limactl refuses root, and Ingot says so
	mkdir -p "$home/lima/probe"
	echo 'images: []' >"$home/lima/probe/lima.yaml"
	code=0
	said=$("${world[@]}" INGOT_HOME="$home/tmp/root" "$home/bin/ingot" vm start probe 2>&1) || code=$?
	rm -rf "$home/lima/probe" "$home/tmp/root"
	case $code:$said in
	2:*lima.root*) echo "ok: refused to root: exit code 2, cause lima.root" ;;
	*) echo "as root: exit code $code, want 2 and lima.root: $said" >&2; exit 1 ;;
	esac
fi
cd "$home"
${as[@]+"${as[@]}"} "${world[@]}" "$home/bin/lima.test" -test.v -test.count=1 -test.timeout "${TIMEOUT:-30m}" ${RUN:+-test.run "$RUN"}
cd "$root"
