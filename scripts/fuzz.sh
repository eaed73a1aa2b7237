#!/usr/bin/env bash
# Builds the fuzz targets of fuzz/ with coverage instrumentation (stable Rust is enough) and runs each for the given
# number of seconds. Corpora are kept in fuzz/corpus, findings in fuzz/artifacts; the first finding fails the run.
#
#   scripts/fuzz.sh 600 [target…]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-60}
shift || true
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes, without a sanitizer: our crates have no unsafe code, panics and overflows are what we look for.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../target/fuzz}
cargo build --release --target "$host" --bins
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n '/^\[\[bin\]\]/,/^path/s/^name = "\(.*\)"/\1/p' Cargo.toml)
for target in "${targets[@]}"; do
  echo "fuzz: $target for $seconds s"
  mkdir -p "corpus/$target" "artifacts/$target"
  "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -max_len=65536 \
    -artifact_prefix="artifacts/$target/" -print_final_stats=1 "corpus/$target"
done
