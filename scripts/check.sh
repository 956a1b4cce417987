#!/bin/bash
# Format, vet, staticcheck, darwin, and, unless NO_UNIT is set, the unit tests
# (which hold the dependency rules).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck disable=SC2046 # no name has a space
bad=$(gofmt -l $(git ls-files '*.go'))
[ -z "$bad" ] || { echo "not formatted: $bad" >&2; exit 1; }
if git grep -nE "^(<<<<<<<|>>>>>>>) " -- . ; then echo "a merge was not finished" >&2; exit 1; fi
go vet ./...
go vet -tags e2e,e2e_lima,chaos ./test/...
go vet -tags face ./backend/jobs ./cmd/ingot-app
go tool staticcheck ./...
go tool staticcheck -tags e2e,e2e_lima,chaos ./test/...
# Fyne and systray need Apple's SDK for darwin: what imports them is left out
pkgs=$(go list ./... | grep -v -e /app/window -e /app/look -e /app/tray/native -e /cmd/ingot-app)
GOOS=darwin GOARCH=arm64 go vet $pkgs
GOOS=darwin GOARCH=arm64 go vet -tags macos ./app/desktop
GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/ingot
for s in scripts/*.sh bench/*.sh backend/family/*/scripts/*.sh; do
	case "$(head -n 1 "$s")" in *bash*) bash -n "$s" ;; *) sh -n "$s" ;; esac
done
go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 # of .github/workflows; its modules are not ours
if command -v shellcheck >/dev/null; then
	shellcheck -S warning .ci/run scripts/*.sh bench/*.sh backend/family/*/scripts/*.sh
elif [ "$(uname -s)" = Linux ]; then
	echo "shellcheck is not installed: scripts/tools.sh installs it" >&2
	exit 1
else
	echo "shellcheck is not installed: the scripts were not checked" >&2
fi
[ -n "${NO_UNIT:-}" ] || go test ./...
