#!/bin/bash
# Listing eight Lima instances, against `limactl list --json`: at least ten times
# faster, by the medians of one run.
set -euo pipefail
cd "$(dirname "$0")/.."
RUN='^TestListing$' scripts/e2e-lima.sh
