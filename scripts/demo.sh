#!/bin/bash
# The main job, from nothing to the reality table. On a Mac kernel and image are
# made in a Lima instance of its own, ingot-forge.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-debian-12-arm64}
in=()
if [ "$(uname -s)" = Darwin ]; then
	vm=ingot-forge
	command -v limactl >/dev/null || brew install lima
	[ -e "${LIMA_HOME:-$HOME/.lima}/$vm/lima.yaml" ] ||
		limactl --tty=false create --name="$vm" --cpus="$(sysctl -n hw.ncpu)" --memory=6 --disk=60 template:debian-12
	bin/ingot vm start "$vm"
	in=(--guest "lima:$vm")
fi
bin/ingot doctor ${in[@]+"${in[@]}"} "$target" >/dev/null 2>&1 || bin/ingot doctor ${in[@]+"${in[@]}"} --install "$target"
bin/ingot build ${in[@]+"${in[@]}"} "$target" --renew
echo
bin/ingot status "$target"
