#!/usr/bin/env bash
# A PostgreSQL server for tests. Installs it where it is missing (Debian package postgresql, once).
#   scripts/postgres.sh                     prints the folder of its programs
#   scripts/postgres.sh start DIR           makes a database in DIR and serves it at a socket there; prints how to connect
#   scripts/postgres.sh restart DIR [MODE]  stops it (MODE fast, or immediate: as if it had crashed) and starts it again
#   scripts/postgres.sh stop DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

programs() { # where initdb is: not on everybody's path
  local found
  found=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || found=$(command -v initdb) || return 1
  dirname "$found"
}

install() {
  if ! command -v apt-get >/dev/null; then
    "$here/say.sh" "please install PostgreSQL 13 or later"
    return 1
  fi
  local sudo="" log
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  "$here/say.sh" "installing the Debian package postgresql (about 1 minute, once)"
  log=$(mktemp)
  if ! { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends postgresql; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    "$here/say.sh" "installing failed; the lines above say why"
    return 1
  fi
  rm -f "$log"
}

# The server refuses to be root.
as_server() {
  if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

# Everything it says goes to DIR/log, which is shown if it fails. It syncs nothing: what it survives is its own crash.
control() {
  local dir=$1
  shift
  as_server "$bin/pg_ctl" --silent --wait --timeout=60 -D "$dir/db" -l "$dir/log" \
    -o "-k '$dir' -c listen_addresses= -c fsync=off -c max_connections=50" "$@" >/dev/null || {
    cat "$dir/log" >&2
    return 1
  }
}

bin=$(programs) || { install && bin=$(programs); }
case ${1:-} in
  "") echo "$bin" ;;
  start)
    dir=$2
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir"
    as_server "$bin/initdb" -D "$dir/db" -U postgres -A trust -E UTF8 --no-sync >/dev/null
    control "$dir" start
    echo "host=$dir user=postgres dbname=postgres"
    ;;
  restart) control "$2" restart -m "${3:-fast}" ;;
  stop) control "$2" stop -m immediate ;;
  *) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
esac
