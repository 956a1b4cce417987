#!/bin/bash
# A publish of 109 MB with its check beside `aws s3 cp` and `rclone copyto` of the same
# disk, on loopback and over a line with a delay; medians of three, alternating. Debian's
# packages awscli and rclone are what it is compared with.
set -euo pipefail
cd "$(dirname "$0")/.."
for p in aws rclone; do
	command -v "$p" >/dev/null || echo "$p is not installed: it is left out" >&2
done
"$(scripts/go.sh --path)" test -run xxx -bench '^BenchmarkPublish$' -benchtime 1x -timeout 30m ./backend/publish/s3 | grep -vE '^(goos|goarch|pkg|cpu|PASS|Benchmark)'
