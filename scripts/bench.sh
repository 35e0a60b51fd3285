#!/usr/bin/env bash
# Builds what the benchmarks need and runs them: all, or those named. KEYS, RATE, SWAPS, SAVEPOINTS and TURNS say how much some do.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/say.sh "building the benchmarks and the guests they run (first time about 30 minutes), then about 20 s a benchmark," \
  "four minutes for shadow and three for swap-10m"
make --no-print-directory guests
# The same selection as everywhere: another one would build RocksDB once more.
cargo build --release --quiet --workspace
exec scripts/swept.sh "$CARGO_TARGET_DIR/release/bench" "$@"
