#!/usr/bin/env bash
# Measures the server: CPU time of each operation, memory of an idle connection, start-up time. The server has one core
# to itself and the client another. Times depend on the machine; the figures named floor_* say by how much.
#
#   scripts/measure.sh [--json FILE] [--rounds N] [--connections N] [--only TEXT]
#
# PORTCULLIS_BIN names a release build of the server; portcullis-bench is expected beside it. Both are built otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v taskset >/dev/null || { echo 'measure: taskset is missing (Debian: util-linux)' >&2; exit 3; }
[ "$(nproc)" -ge 2 ] || { echo 'measure: two cores are needed' >&2; exit 3; }
if [ -z "${PORTCULLIS_BIN:-}" ]; then
    cargo build --release --locked --quiet -p portcullis-cli -p portcullis-bench
    PORTCULLIS_BIN=${CARGO_TARGET_DIR:-target}/release/portcullis
fi
ulimit -n "$(ulimit -Hn)"
exec taskset -c 1 "$(dirname "$PORTCULLIS_BIN")/portcullis-bench" measure --bin "$PORTCULLIS_BIN" "$@"
