#!/usr/bin/env bash
# Sets up everything that is missing and passes all tests: Rust, TypeScript, browser, fuzzing, instruction counts.
#
#   scripts/test.sh            everything
#   scripts/test.sh STEP...    only these steps, in this order (`scripts/test.sh --list` names them)
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:$HOME/.cargo/bin
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

# Seconds for each fuzz target: enough to see that none is broken. `scripts/fuzz.sh all 600` searches.
FUZZ_SECONDS=${FUZZ_SECONDS:-20}

steps=(setup page site layers generated format lint test testbeds client web release browser instructions fuzz docs)

step_setup() { ./scripts/setup.sh test; }

step_page() { ./scripts/page.sh; }

# The page step built the site, which fails on a dead link. The examples that it shows have to compile.
step_site() {
    npm --prefix site run --silent test
    npm --prefix docs/examples run --silent check
}

# The protocol crates know no runtime: no socket, no clock, no environment. Testers know no server.
step_layers() {
    local crate found
    for crate in reason units peer handshake frame token event diagnose session log; do
        found=$(cargo tree --locked --quiet -p "portcullis-$crate" -e normal --prefix none |
            grep -E '^(tokio|mio|async-std|smol|hyper|axum|reqwest|socket2) ' || true)
        if [ -n "$found" ]; then
            printf 'portcullis-%s must not depend on a runtime:\n%s\n' "$crate" "$found" >&2
            return 1
        fi
    done
    # The router knows what an agent is and no agent.
    found=$(cargo tree --locked --quiet -p portcullis-router -e normal --prefix none |
        grep -E '^(portcullis-(doctor|diagnose|handshake)|aho-corasick) ' || true)
    if [ -n "$found" ]; then
        printf 'portcullis-router must not depend on an agent:\n%s\n' "$found" >&2
        return 1
    fi
    # What tests and measures servers sees them from outside, ours too, and knows nothing of their inside.
    for crate in dial check load; do
        found=$(cargo tree --locked --quiet -p "portcullis-$crate" -e normal --prefix none |
            grep -E '^portcullis-(gateway|router|session|auth|agent|log|cli) ' || true)
        if [ -n "$found" ]; then
            printf 'portcullis-%s must not link the server:\n%s\n' "$crate" "$found" >&2
            return 1
        fi
    done
}

step_generated() { cargo xtask generate --check; }

step_format() { cargo fmt --all --check; }

step_lint() { cargo clippy --locked --workspace --all-targets --quiet -- -D warnings; }

step_test() {
    cargo test --locked --workspace --doc --quiet
    cargo nextest run --locked --workspace --cargo-quiet
}

# `check` against real servers in other stacks, each right and with each of its defects.
step_testbeds() {
    # The whole workspace, as in the step before: one package by itself has other features, and all would be built again.
    cargo nextest run --locked --workspace --no-run --cargo-quiet
    cargo build --locked --quiet --manifest-path testbeds/axum/Cargo.toml
    PORTCULLIS_BIN=$PWD/target/debug/portcullis node testbeds/run.mjs
}

step_client() {
    npm --prefix clients/typescript run --silent check
}

step_web() {
    npm --prefix web run --silent typecheck
    npm --prefix web run --silent test
    npm --prefix web run --silent size
}

step_release() { cargo build --release --locked --quiet -p portcullis-cli -p portcullis-bench; }

# The client and the page against the real binary; the page in a real browser.
step_browser() {
    export PORTCULLIS_BIN=$PWD/target/release/portcullis
    npm --prefix clients/typescript run --silent e2e
    npm --prefix web run --silent e2e
}

step_instructions() { PORTCULLIS_BIN=$PWD/target/release/portcullis ./scripts/instructions.sh; }

step_fuzz() { ./scripts/fuzz.sh all "$FUZZ_SECONDS"; }

step_docs() { RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet; }

if [ "${1:-}" = --list ]; then
    printf '%s\n' "${steps[@]}"
    exit 0
fi
if [ $# -gt 0 ]; then steps=("$@"); fi

began=$SECONDS
for step in "${steps[@]}"; do
    if ! declare -F "step_$step" >/dev/null; then
        printf 'test: there is no step %s; --list names them\n' "$step" >&2
        exit 2
    fi
    printf '\n== %s\n' "$step"
    start=$SECONDS
    # Not in a condition: there, a function would go on after a failed command.
    "step_$step"
    printf '== %s: %d s\n' "$step" $((SECONDS - start))
done
printf '\nall steps passed in %d s\n' $((SECONDS - began))
