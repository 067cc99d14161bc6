#!/usr/bin/env bash
# Fuzzes with libFuzzer on the stable toolchain: scripts/fuzz.sh TARGET|all SECONDS
#
# Each target starts from its committed seeds (fuzz/seeds/TARGET) in a fresh corpus (fuzz/corpus/TARGET) and runs for
# SECONDS. A finding is left in fuzz/artifacts/TARGET and makes the exit code 1; 2 is a wrong call. The last line of each
# target sums it up.
#
# cargo-fuzz would need the nightly toolchain for `-Z sanitizer`. Coverage instrumentation alone is an LLVM pass that
# stable can run; without AddressSanitizer nothing is lost here, as the code is free of `unsafe`.
set -euo pipefail

usage() {
    echo "usage: scripts/fuzz.sh TARGET|all SECONDS" >&2
    echo "targets: $(targets | tr '\n' ' ')" >&2
    exit 2
}

targets() {
    for path in "$root"/fuzz/fuzz_targets/*.rs; do basename "$path" .rs; done
}

root=$(cd "$(dirname "$0")/.." && pwd)
[[ $# -eq 2 && $2 =~ ^[1-9][0-9]*$ ]] || usage
seconds=$2
if [[ $1 == all ]]; then
    mapfile -t chosen < <(targets)
elif [[ -f $root/fuzz/fuzz_targets/$1.rs ]]; then
    chosen=("$1")
else
    usage
fi

# An explicit target keeps the instrumentation away from build scripts and procedural macros.
host=$(rustc -vV | sed -n 's/^host: //p')
flags=(
    --cfg fuzzing
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Ccodegen-units=1
    -Cdebug-assertions
)
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$root/fuzz/target}
bins=()
for target in "${chosen[@]}"; do bins+=(--bin "$target"); done
RUSTFLAGS="${flags[*]}" cargo build --locked --release --manifest-path "$root/fuzz/Cargo.toml" --target "$host" "${bins[@]}"

# Fuzzes one target; its summary is one line, so that targets that run at the same time do not mix.
fuzz() {
    local target=$1
    local corpus=$root/fuzz/corpus/$target artifacts=$root/fuzz/artifacts/$target log=$CARGO_TARGET_DIR/$1.log
    local result=ok executions coverage
    rm -rf "$corpus"
    mkdir -p "$corpus" "$artifacts"
    "$CARGO_TARGET_DIR/$host/release/$target" "$corpus" "$root/fuzz/seeds/$target" -max_total_time="$seconds" \
        -timeout=5 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 -artifact_prefix="$artifacts/" \
        >"$log" 2>&1 || result="FINDING in $artifacts"
    [[ $result == ok ]] || tail -n 40 "$log"
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.*cov: \([0-9]*\) ft: \([0-9]*\).*/\1 edges, \2 features/p' "$log" | tail -n 1)
    echo "fuzz $target: $result, ${executions:-no} executions, ${coverage:-no coverage}"
    [[ $result == ok ]]
}

# As many at a time as there are processors: libFuzzer is single-threaded.
status=0
echo "fuzz: ${#chosen[@]} targets, $seconds s each, $(nproc) at a time"
for ((first = 0; first < ${#chosen[@]}; first += $(nproc))); do
    running=()
    for target in "${chosen[@]:first:$(nproc)}"; do
        fuzz "$target" &
        running+=($!)
    done
    for process in "${running[@]}"; do wait "$process" || status=1; done
done
exit $status
