#!/bin/sh
# Makes the base root file system as a tar from locked packages only: the
# repository is a folder of files that were verified one by one before.
#   DEB_ARCH INCLUDE EPOCH SUITE; repo/*.deb in the work directory
set -eu
umask 022 # modes are part of the bytes: the same whoever builds
export LC_ALL=C SOURCE_DATE_EPOCH="$EPOCH"
( cd repo && dpkg-scanpackages -m . > Packages 2> ../scan.log ) || { cat scan.log >&2; exit 1; }
mode=root
[ "$(id -u)" -eq 0 ] || mode=unshare
mkdir tmp
export TMPDIR="$PWD/tmp" # so that all of it lies in the work directory
# What every installation makes anew, and what mmdebstrap copies from the build
# host: the image gets its own. ($1 is the root.)
anew='cd "${1:?}" && rm -f ./etc/apt/sources.list ./etc/ssh/ssh_host_* ./etc/hostname && { [ -L ./etc/resolv.conf ] || rm -f ./etc/resolv.conf; }'
# mmdebstrap's own cleanup of apt's folders is left out: it gives the folders
# "partial" to the build host's user _apt, whose number differs between hosts,
# or to root where _apt cannot reach the work directory. They belong to the
# image's _apt.
apt='cd "${1:?}" && rm -rf ./var/lib/apt/lists/auxfiles && find ./var/lib/apt/lists ./var/cache/apt -type f ! -name lock -delete &&
	chown "$(sed -n "s/^_apt:[^:]*:\([0-9]*\):.*/\1/p" ./etc/passwd):0" ./var/lib/apt/lists/partial ./var/cache/apt/archives/partial'
exec mmdebstrap --mode="$mode" --architectures="$DEB_ARCH" --variant=apt --format=tar \
	--aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--skip=cleanup/apt --customize-hook="$anew" --customize-hook="$apt" --include="$INCLUDE" "$SUITE" rootfs.tar "deb [trusted=yes] copy:$PWD/repo ./"
