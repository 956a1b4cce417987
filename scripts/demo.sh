#!/bin/bash
# The main job, from nothing to the reality table. On a Mac kernel and disk are made in
# the forge VM, which `ingot doctor --install` makes.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-debian-12-arm64}
bin/ingot doctor "$target" >/dev/null 2>&1 || bin/ingot doctor --install "$target"
bin/ingot build "$target" --renew
echo
bin/ingot status "$target"
