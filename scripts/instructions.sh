#!/usr/bin/env bash
# Counts the server's instructions for each operation under callgrind and compares them with benches/instructions.json.
# Fails where one costs more than the baseline allows.
#
#   scripts/instructions.sh             compare
#   scripts/instructions.sh --update    write the baseline (say why in the commit)
#   scripts/instructions.sh --only handshake_hs256 --profiles DIR    keep profiles for callgrind_annotate
#
# PORTCULLIS_BIN names a release build of the server; portcullis-bench is expected beside it. Both are built otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || { echo 'instructions: valgrind is missing (Debian: valgrind)' >&2; exit 3; }
if [ -z "${PORTCULLIS_BIN:-}" ]; then
    cargo build --release --locked --quiet -p portcullis-cli -p portcullis-bench
    PORTCULLIS_BIN=${CARGO_TARGET_DIR:-target}/release/portcullis
fi
exec "$(dirname "$PORTCULLIS_BIN")/portcullis-bench" count --bin "$PORTCULLIS_BIN" \
    --baseline benches/instructions.json "$@"
