#!/bin/bash
# The README's test command: installs what the tests need, then runs them all.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
for t in sshd:openssh-server minisign:minisign qemu-img:qemu-utils jq:jq debugfs:e2fsprogs mcopy:mtools curl:curl sfdisk:fdisk; do
	PATH=$PATH:/usr/sbin:/sbin command -v "${t%%:*}" >/dev/null || missing+=("${t##*:}")
done
if [ "$(uname -s)" = Linux ] && [ ${#missing[@]} -gt 0 ]; then
	sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
	$sudo apt-get update -q
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
bin/ingot doctor debian-12-arm64 >/dev/null 2>&1 || bin/ingot doctor --install debian-12-arm64
scripts/check.sh
# needs a C compiler, as the kernel step does; cause is left out: rules alone, and many of them
CGO_ENABLED=1 go test -race $(go list ./backend/... | grep -v /cause) ./app/feed ./app/tray ./app/desktop ./app/window
JOBS=20 go test -count=1 -timeout 10m -tags chaos -v ./test/chaos
export INGOT_E2E_WORK=$(mktemp -d /var/tmp/ingot-e2e-XXXXXX)
trap 'chmod -R u+w "$INGOT_E2E_WORK"; rm -rf "$INGOT_E2E_WORK"' EXIT
go test -count=1 -timeout 60m -tags e2e -v ./test/e2e
# starts what the line above published
scripts/e2e-lima.sh
# after the line above: its kernel is in the cache
scripts/e2e-app.sh
