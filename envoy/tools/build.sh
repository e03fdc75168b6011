#!/bin/bash
# build.sh [--quiet] [NAME]: compiles a module to dist/NAME.wasm, in the first of two ways that works here: fusebox if
# none is named, the same with its allocations or its lines counted, or the empty filter that it is compared with.
set -euo pipefail
cd "$(dirname "$0")/../.."

quiet=
if [[ ${1:-} == --quiet ]]; then
  quiet=$1
  shift
fi
name=${1:-fusebox}

target=wasm32-unknown-unknown
module=dist/$name.wasm
# As a cdylib alone: beside an rlib the linker does not optimise, which is worth a seventh of the module.
case $name in
  counting | covered) what=(--package fusebox --example $name --crate-type cdylib) output=examples/$name.wasm ;;
  *) what=(--package "$name" --lib --crate-type cdylib) output=$name.wasm ;;
esac
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
  cargo=(cargo rustc)
  way="$(rustc --version | cut -d' ' -f1,2) and its own $target"
else
  envoy/tools/apt.sh rustc-web cargo-web rust-web-src lld-19
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
  cargo=(/usr/bin/cargo rustc -Zbuild-std=std,panic_abort)
  way="Debian's $($RUSTC --version | cut -d' ' -f1,2), std built from source"
fi

# At opt-level "z" next to nothing is inlined, at "s" more than pays here: this is between the two.
inlining=-Cllvm-args=-inline-threshold=40

# Panic messages name source files: without this the module would carry the paths of the machine that built it.
flags=(
  "$inlining"
  --remap-path-prefix="$PWD=/fusebox"
  --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=/cargo"
  --remap-path-prefix="$(sysroot)/lib/rustlib/src/rust=/rust"
)
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

# Its counters are of the lines as they are written, at their paths here; none of what makes the module small is wanted.
# The LLVM IR is for envoy/tools/coverage.sh.
if [[ $name == covered ]]; then
  export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/covered RUSTC_BOOTSTRAP=1
  export CARGO_ENCODED_RUSTFLAGS=-Cinstrument-coverage$'\x1f'-Zno-profiler-runtime$'\x1f'--emit=link,llvm-ir
  export CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_STRIP=false
  export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
fi

# Takes a sixth off the module, and some instructions off each request. Without it all works the same.
optimise=()
wasm_opt() { command -v wasm-opt >/dev/null; }
if [[ $name == covered ]]; then
  way+=", with counters"
elif wasm_opt || { [[ ${CI:-} == true || $EUID == 0 ]] && envoy/tools/apt.sh binaryen && wasm_opt; }; then
  optimise=(wasm-opt -Oz --enable-bulk-memory --enable-multivalue --enable-mutable-globals
    --enable-nontrapping-float-to-int --enable-reference-types --enable-sign-ext)
  way+=", $(wasm-opt --version)"
else
  way+=", without wasm-opt (in Debian's package binaryen)"
fi

mkdir -p "$CARGO_TARGET_DIR"
echo "$way" >"$CARGO_TARGET_DIR/built-with.$name"
[[ -e $module ]] || say "compiling $module with $way; this can take some minutes"
start=$SECONDS
"${cargo[@]}" $quiet --release "${what[@]}" --target $target
built=$CARGO_TARGET_DIR/$target/release/$output
made_of=$CARGO_TARGET_DIR/made-of.$name
now="$(sha256sum "$built") ${optimise[*]}"
if [[ ! -e $module || $now != "$(cat "$made_of" 2>/dev/null)" ]]; then
  # Renamed into place: a running Envoy or test never sees half a module. Builds may run side by side: a name each.
  mkdir -p dist
  if ((${#optimise[@]})); then "${optimise[@]}" "$built" -o $module.$$; else cp "$built" $module.$$; fi
  mv $module.$$ $module
  echo "$now" >"$made_of"
  say "$module: $(stat --format=%s $module) bytes in $((SECONDS - start)) s, with $way"
fi
