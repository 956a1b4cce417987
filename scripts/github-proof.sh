#!/bin/bash
# Publishes an image to a repository on GitHub, reads it back as anybody would, and
# compares it: make github-proof REPO=owner/repo [TARGET=debian-12-arm64]. The target must
# have been built and booted here. It makes one release there, which it does not remove:
# `gh release delete` does. Nothing else of the repository is changed.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v jq >/dev/null || { echo "jq is needed: brew install jq, apt-get install jq" >&2; exit 1; }
repo=${1:?name a repository: make github-proof REPO=owner/repo} target=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/ingot-github-XXXXXX")
trap 'rm -rf "$work"' EXIT
bin/ingot publish "$target" --to "github:$repo"
receipt=$(bin/ingot status "$target" --json | jq -er '.[0].published.evidence')
bin/ingot evidence show "$receipt" > "$work/receipt.json"
url=$(jq -er .predicate.url "$work/receipt.json")
case $url in
*/releases/download/*) ;;
*) echo "the newest receipt of $target is of $url, not of $repo" >&2; exit 1 ;;
esac
tag=$(basename "$url")
bin/ingot evidence key > "$work/ingot.pub"
bin/ingot verify "github:$repo@$tag" --key "$work/ingot.pub"
bin/ingot pull "github:$repo@$tag" --key "$work/ingot.pub" --out "$work"
want=$(jq -er '.subject[0].digest.sha256' "$work/receipt.json")
disk=$(find "$work" -name '*.qcow2' -o -name '*.raw' | head -n 1)
have=$(openssl dgst -sha256 -r "$disk" | cut -d' ' -f1)
[ "$have" = "$want" ] || { echo "the disk that was fetched has SHA-256 $have, the receipt is about $want" >&2; exit 1; }
echo "passed: $url holds the bytes that booted, $have"
