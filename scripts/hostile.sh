#!/usr/bin/env bash
# Runs every hostile guest against a real host; prints a line each, and what went wrong if something did.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
scripts/swept.sh cargo test --release --quiet --workspace --test e2e -- hostile:: --nocapture --test-threads 1 >"$log" 2>&1 || status=$?
grep '^hostile' "$log" || status=1
[ "$status" -eq 0 ] || tail -n 40 "$log" >&2
exit "$status"
