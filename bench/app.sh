#!/bin/bash
# What the menu costs: from launch to the icon, idle CPU over 60 s, memory alone
# and with an idle owner. Fails above a limit. SECONDS_IDLE=n measures shorter.
#   Limits: LIMIT_LAUNCH ms, LIMIT_CPU percent of a core, LIMIT_RSS MB of the
#   menu, LIMIT_BOTH MB of menu and owner.
set -euo pipefail
cd "$(dirname "$0")/.."
INGOT_BENCH=${SECONDS_IDLE:-60} scripts/e2e-app.sh -run TestCost | grep -E '^ +cost_test|^(---|FAIL|ok)' | sed 's/^ *cost_test.go:[0-9]*: //'
exit "${PIPESTATUS[0]}"
