#!/bin/bash
# Static binaries for four platforms, with the notices of all modules in them.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p dist
go run ./scripts/notices ./cmd/ingot > dist/THIRD_PARTY_NOTICES
for p in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
	out="dist/ingot-${p%/*}-${p#*/}"
	CGO_ENABLED=0 GOOS=${p%/*} GOARCH=${p#*/} go build -ldflags "$1" -o "$out" ./cmd/ingot
done
cp LICENSE dist/
(cd dist && sha256sum ingot-* LICENSE THIRD_PARTY_NOTICES > SHA256SUMS 2>/dev/null || shasum -a 256 ingot-* > SHA256SUMS)
ls -l dist
