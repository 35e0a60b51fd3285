#!/usr/bin/env bash
# Runs a command with a folder of its own for temporary files, and removes that afterwards: hosts that tests kill, and jobs that
# run until a test's process ends, leave theirs behind.
#   scripts/swept.sh COMMAND…
set -euo pipefail
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/gm.XXXXXX")
export TMPDIR
# Where tests are root, their PostgreSQL is somebody else, and must get to its folder in there.
chmod 711 "$TMPDIR"
# Whatever cannot be removed does not change how the command ended.
trap 'rm -rf --one-file-system "$TMPDIR" || true' EXIT
"$@"
