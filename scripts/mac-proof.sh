#!/bin/bash
# Shows on a Mac what tests on Linux cannot, without sudo: the
# app's bundle and what the system makes of it, the line with hardware virtualisation,
# Lima, and five questions. Writes docs/mac-proof/DATE-MODEL-SYSTEM.json, which is signed
# with your home's key if nothing failed, its key, and the logs without your names;
# `ingot verify` reads it. Elsewhere it does what needs no Mac, and says so.
#   TARGET=name   what is built         ANSWERS=file  "ID yes|no|skip" for the questions
#   TO=folder     for the record        KEEP=1        leaves the folder of the run
set -euo pipefail
cd "$(dirname "$0")/.."
mac=; [ "$(uname -s)" != Darwin ] || mac=1
status() { bin/ingot status "$TARGET" --json; }
owner() { bin/ingot owner --json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1; }

# The checks. Exit code 77: not tried, and the last line says why.
qemu_entitled() {
	codesign -d --entitlements - "$(command -v qemu-system-aarch64)" 2>&1 | grep com.apple.security.hypervisor
}
gatekeeper() { spctl -a -vv dist/Ingot.app || true; }
app_itself() {
	rm -f "$WORK/app.json"
	if [ -n "$mac" ]; then
		/usr/bin/open -n -W dist/Ingot.app --env "INGOT_HOME=$INGOT_HOME" --env "LIMA_HOME=$LIMA_HOME" --args --selfcheck "$WORK/app.json"
	else
		bin/ingot-app --selfcheck "$WORK/app.json" 2>/dev/null
	fi
	[ -s "$WORK/app.json" ]
}
line_build() { bin/ingot build "$TARGET" && status | "$MACPROOF" ticks; }
line_again() {
	bin/ingot build "$TARGET" --json > "$WORK/again"
	! grep '"kind":"step-started"' "$WORK/again"
}
line_accelerator() {
	bin/ingot evidence show "$(status | "$MACPROOF" cell boots)" > "$WORK/proof" 2>/dev/null
	grep '"accelerator"' "$WORK/proof"
	grep -q '"accelerator": "hvf"' "$WORK/proof" && return
	[ "$(sysctl -n kern.hv_support 2>/dev/null)" = 1 ] && return 1
	echo "this Mac offers no hardware virtualisation (kern.hv_support): it may be a virtual one"
	return 77
}
line_socket() {
	bin/ingot builds > /dev/null
	find "$INGOT_HOME" -name owner.sock > "$WORK/socket"
	[ -s "$WORK/socket" ] || { echo "there is no owner.sock"; return 1; }
	[ -z "$(find "$INGOT_HOME" -name owner.sock ! -perm 600)" ] || { echo "others can open owner.sock"; return 1; }
}
proving() { # starts a boot in the background and waits for its QEMU
	bin/ingot build "$TARGET" --force prove > "$WORK/proving" 2>&1 & building=$!
	for _ in $(seq 120); do
		pgrep -P "$(owner)" -f qemu-system > /dev/null 2>&1 && return
		kill -0 "$building" 2>/dev/null || break
		sleep 0.5
	done
	cat "$WORK/proving"
	echo "no QEMU was seen"
	return 1
}
line_awake() {
	proving
	pmset -g assertions > "$WORK/assertions"
	wait "$building"
	grep caffeinate "$WORK/assertions"
	sleep 2
	! pmset -g assertions | grep 'caffeinate.*ngot'
}
line_kill() {
	proving
	killed=$(owner)
	children=$(pgrep -P "$killed")
	kill -KILL "$killed"
	wait "$building" || true
	line_build
	for pid in $children; do
		if kill -0 "$pid" 2>/dev/null; then ps -p "$pid"; echo "process $pid is left"; return 1; fi
	done
}
exported() { [ -s "$WORK/disk.qcow2" ] || bin/ingot export "$TARGET" --output "$WORK/disk.qcow2"; }
line_truncated() {
	exported
	head -c 3000000 "$WORK/disk.qcow2" > "$WORK/truncated.qcow2"
	if bin/ingot prove "$WORK/truncated.qcow2" --arch "${TARGET##*-}"; then echo "it was proved"; return 1; fi
}
line_changed() {
	exported
	bin/ingot verify "$WORK/disk.qcow2"
	cp "$WORK/disk.qcow2" "$WORK/changed.qcow2"
	printf 'changed' | dd of="$WORK/changed.qcow2" bs=1 seek=2000000 conv=notrunc 2>/dev/null
	if bin/ingot verify "$WORK/changed.qcow2"; then echo "it was verified"; return 1; fi
}
forge_stopped() {
	for _ in $(seq 60); do
		[ "$(limactl list -f '{{.Status}}' ingot-forge)" != Stopped ] || return 0
		sleep 5
	done
	limactl list
	return 1
}
lima_list() {
	limactl list -q | sort > "$WORK/theirs"
	for name in $(cat "$WORK/theirs"); do bin/ingot vms | grep "^ *$name "; done
	[ -s "$WORK/theirs" ]
}
lima_export() { bin/ingot vm export ingot-forge --output "$WORK/forge.qcow2" && qemu-img check "$WORK/forge.qcow2"; }

if [ "${1:-}" = check ]; then # of one of the above, in a process of its own
	shift
	"$@"
	exit
fi

WORK=$(mktemp -d /tmp/ingot-proof.XXXXXX) # short: Lima's sockets lie below it
finish() {
	bin/ingot owner stop > /dev/null 2>&1 || true
	if [ -n "$mac" ]; then limactl delete --force ingot-forge > /dev/null 2>&1 || true; fi
	[ -n "${KEEP:-}" ] || { chmod -R u+w "$WORK" && rm -rf "$WORK"; }
}
trap finish EXIT
theirs=${INGOT_HOME:-}
export WORK MACPROOF=$WORK/macproof INGOT_HOME=$WORK/home LIMA_HOME=$WORK/lima
if [ -n "$mac" ]; then
	PATH=$PATH:/opt/homebrew/bin:/opt/local/bin
	export TARGET=${TARGET:-debian-12-arm64}
	mkdir -p "$INGOT_HOME/config"
	printf 'forge: {idle: 30s}\n' > "$INGOT_HOME/config/config.yaml"
else
	export TARGET=${TARGET:-debian-12-amd64-small}
	mkdir -p "$INGOT_HOME/config"
	cp -R test/targets "$INGOT_HOME/config/"
fi
go build -o "$MACPROOF" ./scripts/macproof
p() { "$MACPROOF" -dir "$WORK/run" -answers "${ANSWERS:-}" "$@"; }
check() { # ID FUNCTION…
	local id=$1
	shift
	p run "$id" /bin/bash scripts/mac-proof.sh check "$@"
}
p run build.programs make app
p run build.vet go vet ./...
p run build.unit env -u INGOT_HOME -u INGOT_CONFIG -u INGOT_CACHE -u LIMA_HOME go test ./...
if [ -n "$mac" ]; then
	p run build.frameworks go test -count=1 -tags macos ./app/desktop
	p run bundle.package make package
	p run bundle.signature codesign --verify --strict --deep dist/Ingot.app
	p run bundle.plist plutil -lint dist/Ingot.app/Contents/Info.plist "dist/Ingot.app/Contents/Helpers/Ingot Window.app/Contents/Info.plist"
	check bundle.gatekeeper gatekeeper
	p run host.doctor bin/ingot doctor --install "$TARGET"
	check host.qemu-entitled qemu_entitled
else
	p run host.doctor bin/ingot doctor "$TARGET"
fi
if [ -n "$mac" ] || [ -n "${DISPLAY:-}" ]; then
	if app_itself; then p take "$WORK/app.json"; else echo "mac-proof: the app ended without answers" >&2; fi
fi
check line.build line_build
check line.again line_again
check line.socket line_socket
check line.kill line_kill
check line.truncated line_truncated
check line.changed line_changed
if [ -n "$mac" ]; then
	check line.accelerator line_accelerator
	check line.awake line_awake
	p run lima.boot bin/ingot prove "$TARGET" --lima
	check lima.list lima_list
	check forge.stopped forge_stopped
	check lima.export lima_export
	[ -n "${ANSWERS:-}" ] || /usr/bin/open -n dist/Ingot.app --env "INGOT_HOME=$INGOT_HOME" --env "LIMA_HOME=$LIMA_HOME"
fi
if [ -n "$mac" ] || [ -n "${ANSWERS:-}" ]; then
	p ask asked.icon "Is there an ingot in the menu bar, sharp, in light and in dark appearance?"
	p ask asked.live "Build $TARGET from the menu and open the menu again: does it follow the build while it is open?"
	p ask asked.buttons "Did a notification come when the build ended, with buttons that work?"
	p ask asked.drag "Open the window, Artifacts: can the card be dragged into a folder of the file manager?"
	p ask asked.focus "Open Ingot from the menu while another app is in front: does the window come to the front?"
fi
why="only a Mac can answer it"
[ -z "$mac" ] || why="it was not reached"
if [ -z "$mac" ] && [ -z "${DISPLAY:-}" ]; then why="only a Mac, or a computer with a desktop, can answer it"; fi
p left "$why"
# signed by the key of the person's own home
if [ -n "$theirs" ]; then export INGOT_HOME=$theirs; else unset INGOT_HOME; fi
"$MACPROOF" -dir "$WORK/run" -to "${TO:-docs/mac-proof}" finish
