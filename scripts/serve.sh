#!/bin/sh
# Sets up everything that is missing, builds the page and the binary, and serves. Arguments go to `portcullis serve`.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:$HOME/.cargo/bin
./scripts/setup.sh serve
./scripts/page.sh
printf 'serve: building the server (some minutes the first time)\n'
cargo build --release --locked --quiet -p portcullis-cli
exec target/release/portcullis serve "$@"
