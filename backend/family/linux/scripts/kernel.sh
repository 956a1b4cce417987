#!/bin/sh
# Builds a kernel from a Debian linux-source package. POSIX sh; runs in the
# guest, in a work directory that holds source.deb and wanted.config.
#   MAKE_ARCH CROSS TARGET IMAGE LOCALVERSION JOBS; CCACHE_DIR or CCACHE_DISABLE
set -eu
umask 022 # modes are part of the bytes: the same whoever builds
export ARCH="$MAKE_ARCH" LANG=C LC_ALL=C
unset LC_CTYPE LC_MESSAGES # ccache's keys hold the locale: the same in every guest
export KBUILD_BUILD_USER=ingot KBUILD_BUILD_HOST=forge KBUILD_BUILD_VERSION=1
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1 CCACHE_COMPILERCHECK=content CCACHE_MAXSIZE=2G

case "$1" in
configure)
	mkdir -p src out
	dpkg-deb --fsys-tarfile source.deb | tar -x -C src --wildcards '*/linux-source-*.tar.xz'
	mkdir tree
	# the date of the source is the date of all that is made of it
	stat -c %Y src/usr/src/linux-source-*.tar.xz > out/epoch
	for t in src/usr/src/linux-source-*.tar.xz; do tar -xJf "$t" -C tree --strip-components=1; done
	rm -rf src
	cd tree
	# make's own view of the symbols: defaults, then ours, then settled
	make -s KCONFIG_ALLCONFIG="$PWD/../wanted.config" CROSS_COMPILE="$CROSS" alldefconfig
	make -s CROSS_COMPILE="$CROSS" olddefconfig
	cp .config ../out/config
	# names that exist at all, to tell "unknown symbol" from "does not stick"
	find . -name 'Kconfig*' -type f -exec sed -n 's/^[[:space:]]*\(menu\)\{0,1\}config[[:space:]]\{1,\}\([A-Z0-9a-z_]*\).*/\2/p' {} + | sort -u > ../out/symbols
	"${CROSS}gcc" --version | head -n 1 > ../out/compiler
	;;
build)
	EPOCH=$(cat out/epoch)
	export KBUILD_BUILD_TIMESTAMP="@$EPOCH"
	cd tree
	ccache=
	if [ -z "${CCACHE_DISABLE:-}" ] && command -v ccache >/dev/null; then
		mkdir -p "$CCACHE_DIR"
		ccache='ccache '
	fi
	if [ -n "$CROSS" ]; then set -- "CROSS_COMPILE=$ccache$CROSS"; else set -- "CC=${ccache}gcc"; fi
	make -j"$JOBS" LOCALVERSION="$LOCALVERSION" "$@" "$TARGET" modules
	make -s LOCALVERSION="$LOCALVERSION" "$@" kernelrelease > ../out/release
	make -s LOCALVERSION="$LOCALVERSION" "$@" INSTALL_MOD_PATH="$PWD/../mod" INSTALL_MOD_STRIP=1 DEPMOD=true modules_install
	cp "$IMAGE" ../out/vmlinuz
	cp vmlinux ../out/vmlinux
	cp System.map ../out/System.map
	cd ..
	release=$(cat out/release)
	rm -f "mod/lib/modules/$release/build" "mod/lib/modules/$release/source"
	mkdir -p mod/usr && mv mod/lib mod/usr/lib # Debian's /lib is a link to /usr/lib
	depmod -b mod/usr "$release"
	tar --sort=name --mtime="@$EPOCH" --owner=0 --group=0 --numeric-owner -cf out/modules.tar -C mod usr
	;;
esac
