#!/usr/bin/env bash
# Installs what building the host and its guests needs and this machine lacks. Quiet when nothing is missing; may be run at any time.
set -euo pipefail
here=$(dirname "$0")

missing=()
need() { # package, then a file or command that shows it is there
  [ -e "$2" ] || command -v "$2" >/dev/null 2>&1 || missing+=("$1")
}

need clang clang
need clang clang++
# RocksDB's bindings are generated while it is built.
compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || missing+=(libclang-dev)
need lld wasm-ld
need wasi-libc /usr/include/wasm32-wasi/stdlib.h
compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a' >/dev/null || missing+=(libclang-rt-14-dev-wasm32)
# The tests of C guests run under the address sanitizer.
compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/*/libclang_rt.asan*.a' >/dev/null || missing+=(libclang-rt-14-dev)

# Rust guests: rustup's own target is best; where rustup cannot download it, Debian's compiler can build it.
has_wasm_target() { [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)" ]; }
has_debian_rust() { [ -e /usr/share/doc/rustc-web ] && [ -e /usr/share/doc/rust-web-src ]; }
if ! has_wasm_target && ! has_debian_rust && ! timeout 60 rustup target add wasm32-unknown-unknown >/dev/null 2>&1; then
  need rustc-web /usr/share/doc/rustc-web
  need cargo-web /usr/share/doc/cargo-web
  need rust-web-src /usr/share/doc/rust-web-src
  need lld-22 wasm-ld-22
fi

[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if ! command -v apt-get >/dev/null; then
  "$here/say.sh" "please install the equivalents of these Debian packages: ${missing[*]}"
  exit 1
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
"$here/say.sh" "installing Debian packages (about 1 minute): ${missing[*]}"
log=$(mktemp)
if ! { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  "$here/say.sh" "installing failed; the lines above say why. Install these packages by hand and try again: ${missing[*]}"
  exit 1
fi
rm -f "$log"
