#!/bin/bash
# dist/release/: archives of ingot for Linux and macOS, Debian packages where dpkg-deb is,
# Homebrew's formula, the app of a Mac with a cask if `make package` made it, and SHA256SUMS, signed
# where MINISIGN_KEY names a key file. Made twice, the files have the same bytes.
#   release.sh VERSION BASE LDFLAGS    BASE is the address where they will be
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?the version} base=${2:?the address where the files will be} ldflags=${3:-}
out=dist/release
rm -rf "$out"
mkdir -p "$out" dist/share
scripts/dist.sh "$ldflags" >/dev/null
bin/ingot completion bash >dist/share/ingot.bash
bin/ingot completion zsh >dist/share/_ingot
bin/ingot completion fish >dist/share/ingot.fish
rm -rf dist/share/man
bin/ingot man dist/share/man
for app in dist/Ingot.zip dist/Ingot.dmg; do
	if [ -e "$app" ]; then cp "$app" "$out/"; fi
done
go run ./scripts/release -from dist -to "$out" -version "$version" -base "$base"
if command -v dpkg-deb >/dev/null; then
	work=$(mktemp -d "${TMPDIR:-/tmp}/ingot-release.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	for arch in amd64 arm64; do
		root=$work/$arch
		mkdir -p "$root/usr" "$root/DEBIAN"
		tar -xzf "$out/ingot-$version-linux-$arch.tar.gz" -C "$root/usr"
		mkdir -p "$root/usr/share/zsh/vendor-completions" # Debian's name
		mv "$root/usr/share/zsh/site-functions/_ingot" "$root/usr/share/zsh/vendor-completions/"
		rmdir "$root/usr/share/zsh/site-functions"
		mv "$root/usr/share/doc/ingot/LICENSE" "$root/usr/share/doc/ingot/copyright"
		gzip -n -9 "$root"/usr/share/man/man1/*.1
		cat >"$root/DEBIAN/control" <<-CONTROL
			Package: ingot
			Version: $version
			Architecture: $arch
			Maintainer: The Ingot authors <ingot@localhost>
			Section: admin
			Priority: optional
			Recommends: qemu-system-arm, qemu-efi-aarch64, qemu-system-x86, ovmf, qemu-utils
			Description: Forge VM images, boot them, publish them, and prove it
			 Builds kernels and disks from recipes, boots what it exported, publishes it,
			 and derives the status of each from signed evidence.
		CONTROL
		find "$root" -type d -exec chmod 755 {} +
		SOURCE_DATE_EPOCH=1000000000 dpkg-deb --root-owner-group --build -Zxz "$root" "$out/ingot_${version}_$arch.deb" >/dev/null
	done
else
	echo "release: no dpkg-deb: no Debian packages were made" >&2
fi
(
	cd "$out"
	if command -v sha256sum >/dev/null; then sha256sum -- *; else shasum -a 256 -- *; fi >SHA256SUMS.new
	mv SHA256SUMS.new SHA256SUMS
)
if [ -n "${MINISIGN_KEY:-}" ]; then
	minisign -S -s "$MINISIGN_KEY" -m "$out/SHA256SUMS"
else
	echo "release: SHA256SUMS is not signed: set MINISIGN_KEY" >&2
fi
ls -l "$out"
