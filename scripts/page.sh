#!/bin/sh
# Builds the page into web/dist, from where the binary embeds it; only when something changed since the last time.
set -eu
cd "$(dirname "$0")/.."
stamp=web/dist/.sources
sources=$(find web clients/typescript \( -name node_modules -o -name dist -o -name test-results \) -prune -o -type f -print |
    sort | xargs cksum | cksum)
if [ -f web/dist/index.html ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
    exit 0
fi
printf 'page: building\n'
npm --prefix web run --silent build
printf '%s\n' "$sources" >"$stamp"
