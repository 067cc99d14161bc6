#!/bin/sh
# Installs what this repository needs on a Debian 12 machine, as far as it is missing. Says nothing when nothing is.
#
#   scripts/setup.sh serve   what building and serving needs: a C and C++ compiler, the packages of page and documentation
#   scripts/setup.sh test    everything: also Chromium, valgrind, cargo-nextest, the client's packages   (default)
#
# Rust and Node are expected to be there: both are better chosen by you than by a script.

set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
what=${1:-test}

say() { printf 'setup: %s\n' "$*"; }

fail() {
    printf 'setup: %s\n' "$1" >&2
    printf '       %s\n' "$2" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Runs a long command quietly; shows its output only if it fails.
# quietly REMEDY COMMAND...
quietly() {
    remedy=$1
    shift
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 40 "$log" >&2
        rm -f "$log"
        fail "failed: $*" "$remedy"
    fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        fail "needs root: $*" 'Run it as root, or install sudo.'
    fi
}

# Collects Debian packages; they are installed together, after one update of the lists.
packages=
want() { packages="$packages $1"; }

install_packages() {
    [ -n "$packages" ] || return 0
    has apt-get || fail "missing:$packages" 'This is not a Debian machine: install them with your package manager, then run this again.'
    say "installing with apt-get:$packages"
    quietly 'Check the network and /etc/apt/sources.list.' as_root apt-get update
    # shellcheck disable=SC2086 # one argument for each package
    quietly 'Another apt-get may be running: try again when it is done.' \
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
}

# The page, the documentation, the client: `npm ci`, again only when the lock file changed since.
install_node_packages() {
    folder=$1
    stamp=$root/$folder/node_modules/.setup-stamp
    cmp -s "$root/$folder/package-lock.json" "$stamp" && return 0
    say "installing the packages of $folder"
    quietly 'Check the network and "npm config get registry".' npm --prefix "$root/$folder" ci --no-audit --no-fund
    cp "$root/$folder/package-lock.json" "$stamp"
}

need_rust() {
    if ! has cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    has cargo || fail 'Rust is missing.' 'Install it: curl --proto "=https" -sSf https://sh.rustup.rs | sh -s -- -y'
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
    found=$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')
    at_least "$found" "$wanted" || fail "Rust $wanted or later is needed, and $found is here." 'Update it: rustup update stable'
}

need_node() {
    has node && has npm || fail 'Node.js is missing.' 'Install version 20.19 or later, from https://nodejs.org or with nvm.'
    found=$(node --version | sed 's/^v//')
    at_least "$found" 20.19 || fail "Node.js 20.19 or later is needed, and $found is here." 'Install a later one, from https://nodejs.org or with nvm.'
}

# at_least FOUND WANTED: compares versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

case $what in
serve | test) ;;
*) fail "unknown: $what" 'usage: scripts/setup.sh [serve|test]' ;;
esac

need_rust
need_node

has cc || want gcc
has c++ || want g++
has make || want make
[ -e /usr/include/stdlib.h ] || want libc6-dev
if [ "$what" = test ]; then
    has chromium || [ -n "${CHROMIUM_BIN:-}" ] || want chromium
    has valgrind || want valgrind
    has strace || want strace
    python3 -c 'import venv, ensurepip' 2>/dev/null || want python3-venv
fi
install_packages

install_node_packages web
install_node_packages site
if [ "$what" = test ]; then
    install_node_packages clients/typescript
    install_node_packages docs/examples
    quietly 'Check the network, "pip config list" and "npm config get registry".' "$root/testbeds/setup.sh"
    if ! cargo nextest --version >/dev/null 2>&1; then
        say 'building cargo-nextest; this takes some minutes, once'
        quietly 'Check the network and "rustc --version".' cargo install cargo-nextest --locked --quiet
    fi
fi
