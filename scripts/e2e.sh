#!/bin/bash
# The end-to-end tests in a folder that goes with them, unless INGOT_E2E_WORK
# names one that the caller keeps. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${INGOT_E2E_WORK:-}" ]; then
	INGOT_E2E_WORK=$(mktemp -d /var/tmp/ingot-e2e-XXXXXX)
	export INGOT_E2E_WORK
	trap 'scripts/e2e-clean.sh "$INGOT_E2E_WORK"' EXIT
fi
go test -count=1 -timeout 60m -tags e2e -v ./test/e2e "$@"
