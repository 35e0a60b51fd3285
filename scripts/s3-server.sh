#!/usr/bin/env bash
# Installs s3s-fs, a real S3 server over a folder, where it is missing, and prints the path of its program.
# Messages go to stderr. Tests start it as `s3s-fs --host 127.0.0.1 --port PORT --access-key A --secret-key B FOLDER`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=${GRISTMILL_CACHE:-$HOME/.cache/gristmill}/tools
version=0.14.1 # newer ones need a newer rustc

# s3s-fs has no --version, so Cargo's own list says which one is there.
is_installed() {
  [ -x "$tools/bin/s3s-fs" ] && grep -qs "\"s3s-fs $version " "$tools/.crates.toml"
}

mkdir -p "$tools"
exec 9>"$tools/.s3s-fs.lock" # tests may ask at the same time
flock 9
if ! is_installed; then
  "$here/say.sh" "installing s3s-fs $version, an S3 server for the tests, into $tools (about 2 minutes, once)"
  env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$tools" --features binary "s3s-fs@$version" >&2
fi
echo "$tools/bin/s3s-fs"
