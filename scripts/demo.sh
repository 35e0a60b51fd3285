#!/usr/bin/env bash
# Real flights through Wasm operators: builds, starts a host, uploads a module over REST, submits a job, prints the answer.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { scripts/say.sh "$@"; }

say "make demo: streams the 336 776 flights that left New York in 2013 through an operator compiled to Wasm."
say "It installs what building guests needs (Debian packages, 1 GB at most), builds host and guests (first time about"
say "12 minutes on 2 cores, seconds afterwards), and fetches the flights (9 MB). Nothing is left running."
make --no-print-directory build
make --no-print-directory GUESTS="--only delay-stats" guests
flights=$(scripts/flights.sh | tail -n 1)

gristmill=$CARGO_TARGET_DIR/release/gristmill
demo=$PWD/.gristmill/demo
rm -rf "$demo"
mkdir -p "$demo"

say "starting a host"
"$gristmill" serve --listen 127.0.0.1:0 --data-dir "$demo/data" --address-file "$demo/address" 2>"$demo/host.log" &
host=$!
trap 'kill $host 2>/dev/null; wait $host 2>/dev/null || true' EXIT
for _ in $(seq 200); do
  [ -s "$demo/address" ] && break
  kill -0 $host 2>/dev/null || { cat "$demo/host.log" >&2; exit 1; }
  sleep 0.05
done
export GRISTMILL_HOST
GRISTMILL_HOST=$(cat "$demo/address")
say "the host listens at $GRISTMILL_HOST; its API is described at $GRISTMILL_HOST/openapi.json"

say "uploading the operator: POST /v1/modules?name=delay-stats@1.0.0"
"$gristmill" module push guest-examples/target/modules/delay-stats.wasm --name delay-stats@1.0.0

cat >"$demo/job.yaml" <<JOB
version: 1
job: flights
parallelism: 2
sources:
  flights:
    from: {file: {path: "$flights"}}
    decode: {csv: {columns: {dep_delay: int}, null: NA}}
operators:
  stats:
    module: delay-stats@1.0.0
    inputs:
      by_carrier: {from: flights, key_by: \$.carrier}
      by_origin: {from: flights, key_by: \$.origin}
    parameters: {minimum_flights: 100}
sinks:
  carriers:
    inputs: [stats.carriers]
    to: {file: {path: "$demo/carriers.jsonl"}}
  routes:
    inputs: [stats.routes]
    to: {file: {path: "$demo/routes.jsonl"}}
JOB
say "submitting the job: POST /v1/jobs with $demo/job.yaml"
# Its progress is on standard error; how it ended stands above the counters that come next.
"$gristmill" job submit --wait "$demo/job.yaml" >/dev/null || { "$gristmill" job inspect flights; exit 1; }
"$gristmill" job inspect flights
cargo xtask flights-answer "$demo/carriers.jsonl" "$demo/routes.jsonl"
