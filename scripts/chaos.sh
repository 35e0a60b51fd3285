#!/usr/bin/env bash
# Kills a real host with -9 again and again while it works, and counts from outside what it has committed in the end.
#   scripts/chaos.sh [KILLS] [--swaps]    100 if nothing is said; ends in one line of JSON
# With --swaps its module is swapped meanwhile, as fast as operations allow.
set -euo pipefail
cd "$(dirname "$0")/.."
kills=${1:-100}
scripts/say.sh "make chaos: builds the host, its guests and what kills it (first time about 30 minutes), starts a PostgreSQL of" \
  "its own, then kills the host $kills times under load (about $((kills * 3 / 60 + 1)) minutes, $((kills * 2 / 100 + 1)) GB in ${TMPDIR:-/tmp} meanwhile)"
make --no-print-directory guests
# The same selection as everywhere: another one would build RocksDB once more.
cargo build --release --quiet --workspace

programs=$(scripts/postgres.sh)
database=$(mktemp -d)
trap 'scripts/postgres.sh stop "$database" >/dev/null 2>&1; rm -rf "$database"' EXIT
connection=$(scripts/postgres.sh start "$database")
"$CARGO_TARGET_DIR/release/chaos" ${2:+"$2"} "$kills" "$CARGO_TARGET_DIR/release/gristmill" "$programs/psql" "$connection"
