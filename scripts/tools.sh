#!/bin/bash
# Installs the programs that the tests call, where apt-get is there; elsewhere the
# tests that need them say which one is missing.
set -euo pipefail
missing=()
for t in sshd:openssh-server minisign:minisign qemu-img:qemu-utils jq:jq zstd:zstd debugfs:e2fsprogs mcopy:mtools curl:curl sfdisk:fdisk makefs:makefs shellcheck:shellcheck gnome-keyring-daemon:gnome-keyring dbus-run-session:dbus-daemon; do
	PATH=$PATH:/usr/sbin:/sbin command -v "${t%%:*}" >/dev/null || missing+=("${t##*:}")
done
if [ "$(uname -s)" = Linux ] && [ ${#missing[@]} -gt 0 ]; then
	sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
	$sudo apt-get update -q
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
