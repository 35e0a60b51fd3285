#!/usr/bin/env bash
# Crashes a real host at each fail point of its sources, starts it again, and compares what it has committed in the end.
#   scripts/crashpoints.sh [POINT…]    all points, or those named
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/say.sh "make crashpoints: builds the host twice, once so that it dies on request (first time about 35 minutes on 2 cores)," \
  "starts a PostgreSQL of its own, then crashes a host about 360 times (about 10 minutes)"
make --no-print-directory guests
crashing=$CARGO_TARGET_DIR/crashpoints/gristmill
mkdir -p "$(dirname "$crashing")"
# The same selection as everywhere: another one would build RocksDB once more.
cargo build --release --quiet --workspace --features gristmill/failpoints
cp "$CARGO_TARGET_DIR/release/gristmill" "$crashing"
# Whoever looks there next finds a host that does not die on request.
cargo build --release --quiet --workspace

programs=$(scripts/postgres.sh)
database=$(mktemp -d)
trap 'scripts/postgres.sh stop "$database" >/dev/null 2>&1; rm -rf "$database"' EXIT
connection=$(scripts/postgres.sh start "$database")
# Hundreds of aborted processes need not leave their memory on the disk.
ulimit -c 0
scripts/swept.sh "$CARGO_TARGET_DIR/release/crashpoints" "$crashing" "$programs/psql" "$connection" "$@"
