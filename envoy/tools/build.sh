#!/bin/bash
# build.sh [--quiet] [PACKAGE]: compiles a filter, fusebox if none is named, to dist/PACKAGE.wasm, in the first of two
# ways that works here.
set -euo pipefail
cd "$(dirname "$0")/../.."

quiet=
if [[ ${1:-} == --quiet ]]; then
  quiet=$1
  shift
fi
package=${1:-fusebox}

target=wasm32-unknown-unknown
module=dist/$package.wasm
# A directory of its own: `cargo test` builds with other flags, and each would make the other start afresh.
export CARGO_TARGET_DIR=$PWD/target/wasm
unavailable=$CARGO_TARGET_DIR/no-rustup-target

say() { [[ $quiet ]] || echo "$*"; }

sysroot() { "${RUSTC:-rustc}" --print sysroot; }

# Where rustup has no network this can hang, and it fails again at each build: limited in time, tried once.
add_target() {
  command -v rustup >/dev/null || return
  [[ ! -e $unavailable ]] || return
  timeout 120 rustup target add $target >/dev/null 2>&1 && return
  mkdir -p "$CARGO_TARGET_DIR"
  touch "$unavailable"
  return 1
}

if command -v rustc >/dev/null && { [[ -d $(sysroot)/lib/rustlib/$target/lib ]] || add_target; }; then
  cargo=(cargo build)
  way="$(rustc --version | cut -d' ' -f1,2) and its own $target"
else
  envoy/tools/apt.sh rustc-web cargo-web rust-web-src lld-19
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
  cargo=(/usr/bin/cargo build -Zbuild-std=std,panic_abort)
  way="Debian's $($RUSTC --version | cut -d' ' -f1,2), std built from source"
fi

# Panic messages name source files: without this the module would carry the paths of the machine that built it.
remap=(
  --remap-path-prefix="$PWD=/fusebox"
  --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=/cargo"
  --remap-path-prefix="$(sysroot)/lib/rustlib/src/rust=/rust"
)
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${remap[*]}")
export CARGO_ENCODED_RUSTFLAGS

[[ -e $module ]] || say "compiling $package with $way; this can take some minutes"
start=$SECONDS
"${cargo[@]}" $quiet --release --lib --package "$package" --target $target
built=$CARGO_TARGET_DIR/$target/release/$package.wasm
if ! cmp --silent "$built" $module; then
  # Renamed into place: a running Envoy or test never sees half a module. Builds may run side by side: a name each.
  mkdir -p dist
  cp "$built" $module.$$
  mv $module.$$ $module
  say "$module: $(stat --format=%s $module) bytes in $((SECONDS - start)) s, with $way"
fi
