#!/usr/bin/env bash
# Builds the C guests from wit/ alone into guest-examples/target/modules. Reads neither sdk/ nor host/.
# With --test it runs the natively testable parts of them instead, under the address sanitizer.
# CLANG names another clang that knows wasm32-wasi, such as the WASI SDK's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
tools=${GRISTMILL_CACHE:-$HOME/.cache/gristmill}/tools
out=$root/guest-examples/target
version=0.63.0

# A Wasm program that exports functions and has no main, with a C library. Function names stay, for the backtraces.
wasm_clang() {
  "${CLANG:-clang}" --target=wasm32-wasi -mexec-model=reactor -O2 -std=c11 -Wl,--strip-debug "$@"
}

# build GUEST WORLD: all .c files of guest-examples/GUEST, with the bindings of that world of wit/.
build() {
  local guest=$1 world=$2
  local stem=$out/c/$guest/${world//-/_}
  mkdir -p "$out/c/$guest" "$out/modules"
  "$tools/bin/wit-bindgen" c "$root/wit" --world "$world" --out-dir "$out/c/$guest" >"$stem.log" 2>&1 || {
    cat "$stem.log" >&2
    return 1
  }
  wasm_clang -w -Qunused-arguments -c "$stem.c" -o "$stem.o" # generated: not ours to keep free of warnings
  wasm_clang -Wall -Wextra -Werror -I "$out/c/$guest" "$root/guest-examples/$guest"/*.c \
    "$stem.o" "${stem}_component_type.o" -o "$out/modules/$guest.wasm"
  "$here/say.sh" "built guest-examples/target/modules/$guest.wasm ($(wc -c <"$out/modules/$guest.wasm") bytes)"
}

# Compiles and runs guest-examples/GUEST/tests/PART.c with PART.c, natively.
run_test() {
  local guest=$root/guest-examples/$1 part=$2
  local test=$out/c/$1/test-$part
  mkdir -p "$(dirname "$test")"
  clang -std=c11 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
    "$guest/tests/$part.c" "$guest/$part.c" -o "$test"
  "$test"
  "$here/say.sh" "tests of $1/$part passed"
}

if [ "${1:-}" = --test ]; then
  run_test c-filter json
  exit
fi
if ! echo 'int nothing(void) { return 0; }' | wasm_clang -x c - -o /dev/null 2>/dev/null; then
  "$here/say.sh" "${CLANG:-clang} cannot build for wasm32-wasi;" \
    "\`make setup\` installs Debian's, or set CLANG to the WASI SDK's"
  exit 1
fi
if [ "$("$tools/bin/wit-bindgen" --version 2>/dev/null)" != "wit-bindgen-cli $version" ]; then
  "$here/say.sh" "installing wit-bindgen $version into $tools (about 2 minutes, once)"
  env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$tools" \
    --no-default-features --features c "wit-bindgen-cli@$version"
fi
build c-filter operator
build c-event-operator event-operator
