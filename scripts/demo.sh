#!/usr/bin/env bash
# Real flights through Wasm operators: builds, starts a host, uploads a module over REST, submits a job, swaps the module while
# flights flow, prints the answer. With --kill, the host is killed before that and started again.
set -euo pipefail
kill_it=${1:-}
cd "$(dirname "$0")/.."
say() { scripts/say.sh "$@"; }

say "make demo: streams the 336 776 flights that left New York in 2013 through an operator compiled to Wasm, and gives it a"
say "new version in the middle of the year."
say "It installs what building guests needs (Debian packages, 1 GB at most), builds host and guests (first time about"
say "30 minutes on 2 cores, seconds afterwards), and fetches the flights (9 MB). Nothing is left running."
make --no-print-directory build
make --no-print-directory GUESTS="--only delay-stats delay-stats-v2" guests
flights=$(scripts/flights.sh | tail -n 1)
# January alone, where the year cannot be fetched.
case $flights in *-01.csv.gz) count=27004 days=31 ;; *) count=336776 days=365 ;; esac

gristmill=$CARGO_TARGET_DIR/release/gristmill
demo=$PWD/.gristmill/demo
rm -rf "$demo"
mkdir -p "$demo"

start_host() {
  rm -f "$demo/address"
  "$gristmill" serve --listen 127.0.0.1:0 --data-dir "$demo/data" --address-file "$demo/address" 2>>"$demo/host.log" &
  host=$!
  for _ in $(seq 200); do
    [ -s "$demo/address" ] && break
    kill -0 $host 2>/dev/null || { cat "$demo/host.log" >&2; exit 1; }
    sleep 0.05
  done
  export GRISTMILL_HOST
  GRISTMILL_HOST=$(cat "$demo/address")
}
# A field of the job, as the API says it.
job() { "$gristmill" --json job inspect flights | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }
has_read() { [ "$(job events_read)" -gt "$1" ]; }
is_finished() { [ "$(job state)" = FINISHED ]; }
# Waits until it is so, as long as the job has not failed.
until_it() {
  until "$@"; do
    [ "$(job state)" != FAILED ] || { "$gristmill" job inspect flights; exit 1; }
    sleep 0.05
  done
}

say "starting a host"
start_host
trap 'kill $host 2>/dev/null; wait $host 2>/dev/null || true' EXIT
say "the host listens at $GRISTMILL_HOST; its API is described at $GRISTMILL_HOST/openapi.json"

say "uploading both versions of the operator: POST /v1/modules?name=delay-stats@1.0.0, and @2.0.0"
"$gristmill" module push guest-examples/target/modules/delay-stats.wasm --name delay-stats@1.0.0 | sed -n 1,2p
"$gristmill" module push guest-examples/target/modules/delay-stats-v2.wasm --name delay-stats@2.0.0 | sed -n 1,2p

cat >"$demo/job.yaml" <<JOB
version: 1
job: flights
parallelism: 2
checkpoint: {every: 250ms, backend: rocksdb}
sources:
  flights:
    from: {file: {path: "$flights", replay_speed: $((days * 86400 / 4))}}
    decode: {csv: {columns: {dep_delay: int}, null: NA}}
    event_time: {path: \$.time_hour, unit: iso}
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
say "submitting the job: POST /v1/jobs with $demo/job.yaml; all flights pass in some seconds"
"$gristmill" job submit "$demo/job.yaml" >/dev/null
if [ "$kill_it" = --kill ]; then
  until_it has_read $((count / 6))
  say "kill -9 the host, with $(job events_read) flights read"
  kill -9 $host
  wait $host 2>/dev/null || true
  start_host
  say "the host is back, and the job with it: $(job state), $(job events_read) flights read"
fi
until_it has_read $((count / 3))
say "swapping to version 2, with $(job events_read) flights read: POST /v1/jobs/flights/operators/stats/swap"
"$gristmill" operator swap flights stats delay-stats@2.0.0 --probation 0s --wait
until_it is_finished
"$gristmill" job inspect flights
cargo xtask flights-answer "$count" "$demo/carriers.jsonl" "$demo/routes.jsonl"
