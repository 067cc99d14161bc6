#!/bin/sh
# Builds the page into web/dist and the documentation into site/dist, from where the binary embeds them; each only when
# something changed since the last time.
set -eu
cd "$(dirname "$0")/.."

# build NAME FOLDER SOURCE...: `npm run build` in FOLDER, unless its result was made of these sources.
build() {
    name=$1 folder=$2
    shift 2
    stamp=$folder/dist/.sources
    sources=$(find "$@" \( -name node_modules -o -name dist -o -name test-results \) -prune -o -type f -print |
        sort | xargs cksum | cksum)
    if [ -f "$folder/dist/index.html" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
        return 0
    fi
    printf '%s: building\n' "$name"
    npm --prefix "$folder" run --silent build
    printf '%s\n' "$sources" >"$stamp"
}

build page web web clients/typescript
build documentation site site docs web/src/ui/icon.svg web/src/styles/theme.css ./*.md
