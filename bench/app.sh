#!/bin/bash
# What the app costs: from launch to the menu's icon, its idle CPU over 60 s, its
# memory alone and with an idle owner, from a click to a window that is drawn,
# the frames of a log of a million lines that grows by 10,000 a second, and from a click
# to each page. Fails above a limit.
# SECONDS_IDLE=n measures shorter. That 500 changes a second are few rebuilds of the
# menu is a test (TestStormOfChanges), in time of its own.
#   Limits: LIMIT_LAUNCH ms, LIMIT_CPU percent of a core, LIMIT_RSS MB of the
#   menu, LIMIT_BOTH MB of menu and owner, LIMIT_OPEN ms, LIMIT_FRAME ms at the
#   95th percentile.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
INGOT_BENCH=${SECONDS_IDLE:-60} scripts/e2e-app.sh -run TestCost | grep -E '^ +cost_test|^(---|FAIL|ok)' | sed 's/^ *cost_test.go:[0-9]*: //'
failed=${PIPESTATUS[0]}
display=$(mktemp)
(exec Xvfb -displayfd 3 -screen 0 1280x800x24 -nolisten tcp 3> "$display" > /dev/null 2>&1) &
x=$!
trap 'kill "$x"; rm -f "$display"' EXIT
while [ ! -s "$display" ]; do sleep 0.1; done
DISPLAY=:$(cat "$display") CGO_ENABLED=1 GOFLAGS='-trimpath -buildvcs=false' "$(scripts/go.sh --path)" test -count=1 -tags frames -run '^Test(Frames|Clicks)$' -v ./app/window |
	grep -E '^ +frames_test|^(---|FAIL|ok)' | sed 's/^ *frames_test.go:[0-9]*: //'
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
exit "$failed"
