#!/bin/bash
# coverage.sh [--lines]: which lines of src/ the unit tests, the wasm harness and the command line's run; fails below 95 %.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=$(echo "$(rustc --print sysroot)"/lib/rustlib/*/bin)
if [[ ! -x $bin/llvm-cov ]]; then
  command -v rustup >/dev/null || {
    echo "llvm-cov of rustc's own LLVM is missing, and comes with rustup: install Rust from https://rustup.rs" >&2
    exit 1
  }
  timeout 300 rustup component add llvm-tools
  bin=$(dirname "$(echo "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-cov)")
fi

out=$PWD/target/coverage
rm -rf "$out"
mkdir -p "$out"
# Of this crate alone, and beside what `cargo test` built: the dependencies are not compiled again.
cat >"$out/rustc" <<'WRAPPER'
#!/bin/bash
exec "$@" -Cinstrument-coverage
WRAPPER
chmod +x "$out/rustc"
export RUSTC_WORKSPACE_WRAPPER=$out/rustc LLVM_PROFILE_FILE=$out/native-%p-%m.profraw FUSEBOX_COVERAGE=$out
# Not the model: it takes minutes, to run what the unit tests of breaker/ and store.rs run.
tests=(--features cli --lib --test wasm --test cli)
# Another profile, or cargo takes the library that `cargo test` built for one with counters: its file has the same name.
other=(--config profile.dev.package.fusebox.debug=false)
# That test is of the module as it is shipped: this one offers its counters too.
if ! cargo test "${other[@]}" "${tests[@]}" -- --skip the_module_offers_nothing_else >"$out/log" 2>&1; then
  tail -n 100 "$out/log" >&2
  exit 1
fi
# What the command line's tests start.
objects=(--object target/debug/fusebox)
while read -r binary; do objects+=(--object "$binary"); done < <(
  grep -oP 'Running .*\(\K[^)]+' "$out/log" | grep -vE '/(wasm|cli)-'
)
# llvm-cov finds no names in a linked module: it gets the map of the lines from a native object made of the same IR, without
# what the functions do.
awk '/^target (datalayout|triple)/ { next }
  /^define/ { sub(/ personality ptr @[^ ]+/, ""); print; inside = 1; next }
  inside && /^}/ { print "  unreachable"; inside = 0 }
  !inside' target/wasm/covered/wasm32-unknown-unknown/release/deps/fusebox.ll >"$out/map.ll"
"$bin/llc" -mtriple=x86_64-unknown-linux-gnu -filetype=obj -o "$out/map.o" "$out/map.ll"
"$bin/llvm-profdata" merge --sparse -o "$out/profile" "$out"/*.profraw
"$bin/llvm-cov" export --format=lcov --instr-profile="$out/profile" "$out/map.o" "${objects[@]}" >"$out/lcov"
python3 envoy/tools/coverage.py "$out/lcov" "$@"
