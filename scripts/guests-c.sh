#!/bin/sh
# Builds the C guests from wit/ alone, into guest-examples/target/modules. Reads neither sdk/ nor host/.
# GRISTMILL_CACHE (default ~/.cache/gristmill) keeps the tools that are not Debian's; CLANG names another clang.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=${GRISTMILL_CACHE:-$HOME/.cache/gristmill}/tools
wit_bindgen=$tools/bin/wit-bindgen
wit_bindgen_version=0.63.0
out=$root/guest-examples/target

# Debian's clang, linker and C library for Wasm; elsewhere they are left to the user.
install_clang() {
    command -v apt-get >/dev/null || {
        echo "guests-c: no clang that builds for wasm32-wasi; install clang, lld, wasi-libc and compiler-rt for wasm32" >&2
        exit 1
    }
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    echo "guests-c: installing clang, lld, wasi-libc and compiler-rt for Wasm (about a minute)"
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq clang lld wasi-libc >/dev/null
    $as_root apt-get install -y -qq "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev-wasm32" >/dev/null
}

install_wit_bindgen() {
    echo "guests-c: installing wit-bindgen $wit_bindgen_version into $tools (about two minutes, once)"
    env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$tools" \
        --no-default-features --features c "wit-bindgen-cli@$wit_bindgen_version"
}

# clang for a Wasm program with a C library that exports functions and has no main.
wasm_clang() {
    "${CLANG:-clang}" --target=wasm32-wasi -mexec-model=reactor -O2 -std=c11 "$@"
}

can_build() {
    echo 'int exported(void) { return 0; }' | wasm_clang -x c - -o /dev/null 2>/dev/null
}

# build GUEST WORLD: every .c file of guest-examples/GUEST with the bindings of the world.
build() {
    guest=$1 world=$2
    bindings=$out/c/$guest
    stem=$bindings/$(echo "$world" | tr - _)
    mkdir -p "$bindings" "$out/modules"
    "$wit_bindgen" c "$root/wit" --world "$world" --out-dir "$bindings" >/dev/null
    # The generated file is not ours to keep free of warnings.
    wasm_clang -w -c "$stem.c" -o "$stem.o"
    wasm_clang -Wall -Wextra -Werror -I "$bindings" "$root/guest-examples/$guest"/*.c \
        "$stem.o" "${stem}_component_type.o" -o "$out/modules/$guest.wasm"
    echo "guests-c: guest-examples/target/modules/$guest.wasm ($(wc -c <"$out/modules/$guest.wasm") bytes)"
}

can_build || install_clang
[ "$("$wit_bindgen" --version 2>/dev/null)" = "wit-bindgen-cli $wit_bindgen_version" ] || install_wit_bindgen

build c-filter operator
build c-event-operator event-operator
