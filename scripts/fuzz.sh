#!/usr/bin/env bash
# Runs every fuzz target of fuzz/ for the given number of seconds each; stops at the first finding.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ -d fuzz ] || { echo "fuzz: there is no folder fuzz/ yet" >&2; exit 1; }
for target in $(cargo fuzz list); do
  echo "fuzz: $target for $seconds s"
  cargo fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048
done
