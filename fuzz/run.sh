#!/bin/bash
# run.sh [TARGET...]: fuzzes each target for FUZZ_SECONDS, all of them if none is named; `storms` is the compiled module
# in the emulated Envoy. An input that breaks something is left in fuzz/corpus, where `cargo test` tries it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

export FUZZ_SECONDS=${FUZZ_SECONDS:-60}
if ((!$#)); then
  mapfile -t all < <(basename -s .rs fuzz/fuzz_targets/*)
  set -- "${all[@]}" storms
fi

for target in "$@"; do
  echo "fuzzing $target for $FUZZ_SECONDS s"
  if [[ $target == storms ]]; then
    cargo test --test wasm storms -- --nocapture
    continue
  fi
  found=target/fuzz/found/$target
  mkdir -p "$found"
  # No sanitizer: that would need a nightly compiler, and the code is safe but for the calls of the host.
  cargo fuzz run --sanitizer none --target-dir target/fuzz/build "$target" "$found" "fuzz/corpus/$target" -- \
    -max_total_time="$FUZZ_SECONDS" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="fuzz/corpus/$target/" 2>&1 | grep -vE '^#[0-9]+\s+(NEW|REDUCE|RELOAD|pulse)|# Uses:|Recommended dictionary|NEW_FUNC'
done
