#!/usr/bin/env bash
# Puts known faults into the router, one at a time, and asks whether the simulation finds each of them. A check of the check:
# what it does not find there, it would not find elsewhere.
#
#   scripts/mutants.sh [SEEDS]      seeds for each fault, 20 unless told otherwise
#
# The faults are scripts/mutants/*.patch. They are applied to a copy; 1 is a fault that was not found, 3 one that no longer
# applies or builds and has to be written anew.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${1:-20}
root=$PWD
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$copy"
# What the gateway embeds.
for folder in web/dist site/dist; do
    [ ! -d "$folder" ] || cp -a "$folder" "$copy/$folder"
done
cd "$copy"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/mutants}

status=0
for fault in "$root"/scripts/mutants/*.patch; do
    name=$(basename "$fault" .patch)
    if ! git apply "$fault" 2>"$copy/told"; then
        printf 'mutants: %s no longer applies\n' "$name" >&2
        cat "$copy/told" >&2
        exit 3
    fi
    if ! cargo test --locked --quiet -p portcullis-gateway --lib --no-run 2>"$copy/told"; then
        printf 'mutants: %s does not build\n' "$name" >&2
        tail -n 30 "$copy/told" >&2
        exit 3
    fi
    if SIM_SEEDS=$seeds cargo test --locked --quiet -p portcullis-gateway --lib \
        simulation::whatever_fails -- --nocapture >"$copy/told" 2>&1; then
        printf 'mutants: %s: NOT FOUND by %s seeds\n' "$name" "$seeds"
        status=1
    else
        printf 'mutants: %s: found: %s\n' "$name" "$(grep -m1 -A1 'shows it again' "$copy/told" | tail -n 1 | cut -c1-120)"
    fi
    git apply --reverse "$fault"
done
exit $status
