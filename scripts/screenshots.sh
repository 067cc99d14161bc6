#!/bin/sh
# Makes the pictures in docs/images anew: chat and refusal in both themes, and the dashboard, from the real server in a real
# browser. Look at them before you commit them.
set -eu
cd "$(dirname "$0")/.."
./scripts/setup.sh test
./scripts/page.sh
if [ -z "${PORTCULLIS_BIN:-}" ]; then
    cargo build --release --locked --quiet -p portcullis-cli
    PORTCULLIS_BIN=$PWD/target/release/portcullis
fi
export PORTCULLIS_BIN
npm --prefix web run --silent screenshots
ls -l docs/images/*.png
