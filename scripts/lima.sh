#!/bin/sh
# Makes Lima from its Go module: limactl, its templates and the guest agents of
# Linux on x86_64 and aarch64. Prints the folder (bin/limactl is in it) and does
# nothing when it is there.
#   scripts/lima.sh [v2.2.0]
# The folder lies outside the clone and is named by the version. limactl refuses
# root, so another user must be able to run what root made: root's folder is
# /var/tmp/ingot-tools, everyone else's ${XDG_CACHE_HOME:-~/.cache}/ingot-tools.
# INGOT_TOOLS names another.
set -eu
version=${1:-v2.2.0}
case $version in
v1.*) module=github.com/lima-vm/lima ;;
v2.*) module=github.com/lima-vm/lima/v2 ;;
*) echo "scripts/lima.sh: $version is no version of Lima that Ingot knows: v1.2.1 or v2.2.0" >&2; exit 2 ;;
esac
if [ -n "${INGOT_TOOLS:-}" ]; then
	tools=$INGOT_TOOLS
elif [ "$(id -u)" = 0 ]; then
	tools=/var/tmp/ingot-tools
else
	tools=${XDG_CACHE_HOME:-$HOME/.cache}/ingot-tools
fi
prefix=$tools/lima-$version
if [ -x "$prefix/bin/limactl" ]; then
	echo "$prefix"
	exit 0
fi
umask 022
mkdir -p "$tools"
exec 9>"$tools/.lima.lock" # two at once: the second waits and finds it done
flock 9
if [ -x "$prefix/bin/limactl" ]; then
	echo "$prefix"
	exit 0
fi
work=$(mktemp -d "$tools/.making-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT INT TERM
(cd "$work" && GOFLAGS=-mod=mod go mod download -json "$module@$version" >module.json)
dir=$(sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p' "$work/module.json")
cp -R "$dir" "$work/src" # the module cache is read-only
chmod -R u+w "$work/src"
out=$work/out
mkdir -p "$out/bin" "$out/share/lima"
export GOFLAGS="-trimpath -buildvcs=false"
ld="-s -w -X $module/pkg/version.Version=$version"
cd "$work/src"
CGO_ENABLED=1 go build -ldflags "$ld" -o "$out/bin/limactl" ./cmd/limactl 9>&-
for arch in x86_64:amd64 aarch64:arm64; do
	CGO_ENABLED=0 GOOS=linux GOARCH=${arch#*:} go build -ldflags "$ld" -o "$out/share/lima/lima-guestagent.Linux-${arch%:*}" ./cmd/lima-guestagent 9>&-
done
cp -R templates "$out/share/lima/"
chmod -R go+rX "$out"
mv "$out" "$prefix"
echo "$prefix"
