#!/bin/sh
# Sets up the test beds: a Python environment and the packages for Node, again only when their lists changed since.
set -eu
cd "$(dirname "$0")"

stamp=.venv/.setup-stamp
if ! cmp -s fastapi/requirements.txt "$stamp"; then
    echo 'setup: installing the Python packages of testbeds'
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r fastapi/requirements.txt
    cp fastapi/requirements.txt "$stamp"
fi

stamp=node/node_modules/.setup-stamp
if ! cmp -s node/package-lock.json "$stamp"; then
    echo 'setup: installing the Node packages of testbeds'
    npm --prefix node ci --no-audit --no-fund --silent
    cp node/package-lock.json "$stamp"
fi
