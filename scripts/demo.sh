#!/usr/bin/env bash
# Real flights through Wasm operators: builds, starts a host, uploads a module over REST, submits a job, prints the answer.
# With --kill, the year is replayed in some seconds, and the host is killed in its middle and started again.
set -euo pipefail
kill_it=${1:-}
cd "$(dirname "$0")/.."
say() { scripts/say.sh "$@"; }

say "make demo: streams the 336 776 flights that left New York in 2013 through an operator compiled to Wasm."
say "It installs what building guests needs (Debian packages, 1 GB at most), builds host and guests (first time about"
say "30 minutes on 2 cores, seconds afterwards), and fetches the flights (9 MB). Nothing is left running."
make --no-print-directory build
make --no-print-directory GUESTS="--only delay-stats" guests
flights=$(scripts/flights.sh | tail -n 1)

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

say "starting a host"
start_host
trap 'kill $host 2>/dev/null; wait $host 2>/dev/null || true' EXIT
say "the host listens at $GRISTMILL_HOST; its API is described at $GRISTMILL_HOST/openapi.json"

say "uploading the operator: POST /v1/modules?name=delay-stats@1.0.0"
"$gristmill" module push guest-examples/target/modules/delay-stats.wasm --name delay-stats@1.0.0

replay="" often=""
if [ "$kill_it" = --kill ]; then
  # Two months in a second, and a checkpoint every quarter of one.
  replay=", replay_speed: 5184000" often="checkpoint: {every: 250ms, backend: rocksdb}"
fi
cat >"$demo/job.yaml" <<JOB
version: 1
job: flights
parallelism: 2
$often
sources:
  flights:
    from: {file: {path: "$flights"$replay}}
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
say "submitting the job: POST /v1/jobs with $demo/job.yaml"
if [ "$kill_it" = --kill ]; then
  "$gristmill" job submit "$demo/job.yaml" >/dev/null
  until [ "$(job events_read)" -gt 100000 ]; do sleep 0.05; done
  say "kill -9 the host, with $(job events_read) flights read"
  kill -9 $host
  wait $host 2>/dev/null || true
  start_host
  say "the host is back, and the job with it: $(job state), $(job events_read) flights read"
  until [ "$(job state)" = FINISHED ]; do sleep 0.1; done
else
  # Its progress is on standard error; how it ended stands above the counters that come next.
  "$gristmill" job submit --wait "$demo/job.yaml" >/dev/null || { "$gristmill" job inspect flights; exit 1; }
fi
"$gristmill" job inspect flights
cargo xtask flights-answer "$demo/carriers.jsonl" "$demo/routes.jsonl"
