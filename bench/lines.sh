#!/bin/bash
# Lines of tests to lines of code in backend, without blank lines.
set -euo pipefail
cd "$(dirname "$0")/.."
count() { cat "$@" | grep -c '[^[:space:]]'; }
mapfile -t code < <(git ls-files 'backend/*.go' | grep -v -e _test.go -e guesttest)
mapfile -t tests < <(git ls-files 'backend/*_test.go' 'backend/guest/guesttest/*.go' 'test/e2e/*.go')
c=$(count "${code[@]}") t=$(count "${tests[@]}")
awk -v c="$c" -v t="$t" 'BEGIN { printf "backend: %d lines of code, %d of tests: ratio %.2f\n", c, t, t / c }'
