#!/usr/bin/env bash
# Builds what the benchmarks need and runs them: all, or those named.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/say.sh "building the benchmarks and the guests they run (first time about 12 minutes), then about 20 s a benchmark"
make --no-print-directory guests
cargo build --release --quiet --package gristmill
exec cargo run --release --quiet --package bench -- "$@"
